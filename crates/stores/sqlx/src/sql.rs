//! The statements, written once and rendered for each database.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use authflow_core::Lease;

use crate::row::lasting;

/// How much time a lease may claim. Its end may have been written by a clock that was ahead of the one that it is read by, if
/// only by the time that a statement took: `UTC_TIMESTAMP` is when it began.
pub(crate) const BELIEVED: Duration = Lease::LONGEST.saturating_add(Lease::LEEWAY);

/// Which database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "mysql")]
    MySql,
}

impl Dialect {
    /// Whether an `UPDATE` returns what it wrote, and an `INSERT` may say what to do with a key that is there.
    pub(crate) const fn returns_what_it_wrote(self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => true,
            #[cfg(feature = "postgres")]
            Self::Postgres => true,
            #[cfg(feature = "mysql")]
            Self::MySql => false,
        }
    }

    /// Milliseconds since 1970 by the clock of the database, read when the expression is evaluated: a statement that
    /// waited for a row does not go by the time before it waited.
    const fn now(self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => "CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER)",
            #[cfg(feature = "postgres")]
            Self::Postgres => "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)",
            // SYSDATE depends on the time zone of the session, and is not safe to replicate by statement.
            #[cfg(feature = "mysql")]
            Self::MySql => "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(3)) DIV 1000)",
        }
    }

    /// The same, as a constant of the statement, which an index can be searched for.
    const fn now_for_index(self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => self.now(),
            #[cfg(feature = "postgres")]
            Self::Postgres => "CAST(floor(extract(epoch FROM statement_timestamp()) * 1000) AS bigint)",
            #[cfg(feature = "mysql")]
            Self::MySql => self.now(),
        }
    }

    /// What a statement that only reads asks besides, of a server that can say it: a standby of PostgreSQL divides by zero,
    /// whether there is a row or not, for its copy may be old. It is asked by each statement, as a pooler may have another
    /// server behind it each time.
    const fn on_the_primary(self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => "",
            #[cfg(feature = "postgres")]
            Self::Postgres => " AND (SELECT 1 / CASE WHEN pg_is_in_recovery() THEN 0 ELSE 1 END) = 1",
            #[cfg(feature = "mysql")]
            Self::MySql => "",
        }
    }

    fn placeholder(self, number: usize) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => format!("?{number}"),
            #[cfg(feature = "postgres")]
            Self::Postgres => format!("${number}"),
            #[cfg(feature = "mysql")]
            Self::MySql => {
                let _ = number;
                "?".to_owned()
            }
        }
    }

    /// Whether a parameter that a statement has twice is bound once.
    const fn numbers_parameters(self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => true,
            #[cfg(feature = "postgres")]
            Self::Postgres => true,
            #[cfg(feature = "mysql")]
            Self::MySql => false,
        }
    }
}

/// What a column of a result holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Bytes,
    Integer,
}

/// One statement for one database.
pub(crate) struct Sql {
    pub(crate) text: Arc<str>,
    /// The names of the parameters, in the order in which they are bound.
    pub(crate) parameters: Vec<&'static str>,
    /// What comes back; nothing for a statement that says only how many rows it changed.
    pub(crate) columns: &'static [Column],
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sql").field(&self.text).finish()
    }
}

impl Sql {
    /// Renders a template: `:name` is a parameter, `{name}` is replaced by a piece.
    pub(crate) fn new(
        dialect: Dialect,
        template: &'static str,
        pieces: &[(&str, &'static str)],
        columns: &'static [Column],
    ) -> Self {
        let mut sql = Self { text: "".into(), parameters: Vec::new(), columns };
        let mut text = String::new();
        sql.render(dialect, template, pieces, &mut text);
        sql.text = text.into();
        sql
    }

    fn render(
        &mut self,
        dialect: Dialect,
        template: &'static str,
        pieces: &[(&str, &'static str)],
        text: &mut String,
    ) {
        let mut rest = template;
        while let Some(at) = rest.find([':', '{']) {
            let (before, here) = rest.split_at(at);
            text.push_str(before);
            let is_parameter = here.starts_with(':');
            let name = here.get(1..).unwrap_or_default();
            let end = name.find(|it: char| !it.is_ascii_lowercase() && it != '_').unwrap_or(name.len());
            let (name, after) = name.split_at(end);
            if is_parameter {
                let number = self.number(dialect, name);
                text.push_str(&dialect.placeholder(number));
                rest = after;
                continue;
            }
            match name {
                "now" => text.push_str(dialect.now()),
                "believed" => text.push_str(&lasting(BELIEVED).to_string()),
                "now_for_index" => text.push_str(dialect.now_for_index()),
                "primary" => text.push_str(dialect.on_the_primary()),
                _ => {
                    if let Some((_, piece)) = pieces.iter().find(|(known, _)| *known == name) {
                        self.render(dialect, piece, pieces, text);
                    }
                }
            }
            rest = after.strip_prefix('}').unwrap_or(after);
        }
        text.push_str(rest);
    }

    fn number(&mut self, dialect: Dialect, name: &'static str) -> usize {
        let known = self.parameters.iter().position(|known| *known == name);
        match known.filter(|_| dialect.numbers_parameters()) {
            Some(at) => at + 1,
            None => {
                self.parameters.push(name);
                self.parameters.len()
            }
        }
    }
}

#[cfg(all(test, feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod tests {
    use super::*;

    const PIECES: &[(&str, &str)] = &[("place", "a = :a AND b = :b")];

    #[test]
    fn a_template_is_rendered_for_each_database() {
        let template = "SELECT x FROM t WHERE {place} AND c > :a";
        let of = |dialect| Sql::new(dialect, template, PIECES, &[]);
        assert_eq!(*of(Dialect::Sqlite).text, *"SELECT x FROM t WHERE a = ?1 AND b = ?2 AND c > ?1");
        assert_eq!(*of(Dialect::Postgres).text, *"SELECT x FROM t WHERE a = $1 AND b = $2 AND c > $1");
        assert_eq!(*of(Dialect::MySql).text, *"SELECT x FROM t WHERE a = ? AND b = ? AND c > ?");
        assert_eq!(of(Dialect::Postgres).parameters, ["a", "b"]);
        assert_eq!(of(Dialect::MySql).parameters, ["a", "b", "a"]);
    }
}
