//! The three drivers of sqlx behind one face: bytes and integers in, bytes and integers out.

/// What is bound. There is nothing else in the tables.
#[derive(Clone, Copy)]
pub(crate) enum Value<'v> {
    Bytes(&'v [u8]),
    MaybeBytes(Option<&'v [u8]>),
    Integer(i64),
    MaybeInteger(Option<i64>),
}

pub(crate) type Parameters<'v> = [(&'static str, Value<'v>)];

/// What comes back.
pub(crate) enum Cell {
    Bytes(Option<Vec<u8>>),
    Integer(Option<i64>),
}

/// A row, read from its first column on.
pub(crate) struct Row(std::vec::IntoIter<Cell>);

impl Row {
    /// The next column, if it is bytes that are there.
    pub(crate) fn bytes(&mut self) -> Option<Vec<u8>> {
        match self.0.next() {
            Some(Cell::Bytes(bytes)) => bytes,
            _ => None,
        }
    }

    /// The next column, if it is a number that is there.
    pub(crate) fn integer(&mut self) -> Option<i64> {
        match self.0.next() {
            Some(Cell::Integer(integer)) => integer,
            _ => None,
        }
    }
}

/// A statement with what is bound to it: the form in which a driver gets it.
pub(crate) struct Bound<'v> {
    pub(crate) sql: &'v crate::sql::Sql,
    pub(crate) parameters: &'v Parameters<'v>,
    /// Whether the driver may keep it prepared under a name.
    pub(crate) named: bool,
}

macro_rules! driver {
    ($module:ident, $feature:literal, $database:ty) => {
        #[cfg(feature = $feature)]
        pub(crate) mod $module {
            use sqlx::query::Query;
            use sqlx::{AssertSqlSafe, Database, Error, Row as _};

            use super::{Bound, Cell, Row, Value};
            use crate::schema::Migrations;
            use crate::sql::Column;

            pub(crate) type Connection = <$database as Database>::Connection;

            /// The rows that the statement returns.
            pub(crate) async fn rows(
                connection: &mut Connection,
                bound: &Bound<'_>,
            ) -> Result<Vec<Row>, Error> {
                let rows = query(bound)?.fetch_all(connection).await?;
                rows.iter().map(|row| read(row, bound.sql.columns)).collect()
            }

            /// How many rows the statement changed.
            pub(crate) async fn changed(
                connection: &mut Connection,
                bound: &Bound<'_>,
            ) -> Result<u64, Error> {
                Ok(query(bound)?.execute(connection).await?.rows_affected())
            }

            /// Makes the tables that are missing.
            pub(crate) async fn migrate(
                connection: &mut Connection,
                migrations: &Migrations,
            ) -> Result<(), Error> {
                for statement in migrations.first {
                    run(connection, statement).await?;
                }
                let version = Bound { sql: &migrations.version, parameters: &[], named: false };
                let row = rows(connection, &version).await?.into_iter().next();
                let found = row.and_then(|mut row| row.integer()).unwrap_or_default();
                for (version, statements) in migrations.after(found) {
                    for statement in statements {
                        run(connection, statement).await?;
                    }
                    let parameters = &[("version", Value::Integer(version))];
                    changed(connection, &Bound { sql: &migrations.insert, parameters, named: false }).await?;
                }
                Ok(())
            }

            /// Runs a statement of this crate's own, without parameters.
            async fn run(connection: &mut Connection, statement: &'static str) -> Result<(), Error> {
                sqlx::raw_sql(statement).execute(connection).await.map(|_| ())
            }

            fn query<'q>(
                bound: &Bound<'_>,
            ) -> Result<Query<'q, $database, <$database as Database>::Arguments>, Error> {
                // The text is made of constants of this crate; whatever comes from outside is bound.
                let text = AssertSqlSafe(std::sync::Arc::clone(&bound.sql.text));
                let mut query = sqlx::query::<$database>(text).persistent(bound.named);
                for name in &bound.sql.parameters {
                    let value = bound.parameters.iter().find(|(known, _)| known == name);
                    query = match value.map(|(_, value)| *value) {
                        Some(Value::Bytes(bytes)) => query.try_bind(bytes),
                        Some(Value::MaybeBytes(bytes)) => query.try_bind(bytes),
                        Some(Value::Integer(integer)) => query.try_bind(integer),
                        Some(Value::MaybeInteger(integer)) => query.try_bind(integer),
                        None => return Err(Error::InvalidArgument((*name).to_owned())),
                    }
                    .map(|()| query)
                    .map_err(Error::Encode)?;
                }
                Ok(query)
            }

            fn read(row: &<$database as Database>::Row, columns: &[Column]) -> Result<Row, Error> {
                let cells = columns.iter().enumerate().map(|(at, column)| match column {
                    Column::Bytes => row.try_get(at).map(Cell::Bytes),
                    Column::Integer => row.try_get(at).map(Cell::Integer),
                });
                Ok(Row(cells.collect::<Result<Vec<_>, _>>()?.into_iter()))
            }
        }
    };
}

driver!(sqlite, "sqlite", sqlx::Sqlite);
driver!(postgres, "postgres", sqlx::Postgres);
driver!(mysql, "mysql", sqlx::MySql);
