//! Pages, each of which begins behind the last row of the one before.

use authflow_core::{Cursor, KeyPage, Page, StoreError, StoreErrorKind};

use crate::driver::Row;
use crate::row::key_of;

/// One more than is wanted: it tells whether there is another page.
pub(crate) fn limit(page: &Page) -> i64 {
    i64::try_from(page.limit.max(1)).unwrap_or(i64::MAX).saturating_add(1)
}

/// Cuts off what is over the limit, and says whether anything was.
pub(crate) fn cut(rows: &mut Vec<Row>, page: &Page) -> bool {
    let is_more = rows.len() > page.limit.max(1);
    rows.truncate(page.limit.max(1));
    is_more
}

/// The keys of a page; what cannot be read has none, and costs no other its place.
pub(crate) fn keys(mut rows: Vec<Row>, page: &Page, cursor: impl Fn(&[u8], &mut Row) -> Cursor) -> KeyPage {
    let is_more = cut(&mut rows, page);
    let (mut keys, mut last) = (Vec::with_capacity(rows.len()), None);
    for mut row in rows {
        let (id, key_bytes) = (row.bytes().unwrap_or_default(), row.bytes().unwrap_or_default());
        keys.extend(key_of(&id, &key_bytes));
        last = Some(cursor(&id, &mut row));
    }
    KeyPage::new(keys, last.filter(|_| is_more))
}

pub(crate) fn read_id(bytes: &[u8]) -> Result<&[u8], StoreError> {
    if bytes.len() == 32 { Ok(bytes) } else { Err(foreign_cursor()) }
}

pub(crate) fn foreign_cursor() -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt)
        .with_source("the cursor is not one of this operation of this store")
}
