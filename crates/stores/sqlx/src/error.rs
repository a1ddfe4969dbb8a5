//! What can go wrong, and what it says about whether something was done.

use std::error::Error;
use std::fmt;

use authflow_core::{StoreError, StoreErrorKind};

/// Why a database could not be opened or reached. It holds neither user nor password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is not one.
    #[error(
        "the address is not sqlite:PATH, postgres://user:password@host/database or mysql://user:password@host/database"
    )]
    Address,
    /// This crate was built without the driver that the address asks for.
    #[error("this program was built without it; build authflow-sqlx with the feature `{0}`")]
    NotBuilt(&'static str),
    /// The database file cannot be made or opened.
    #[error("the database file cannot be opened; see that its folder exists and may be written")]
    File(#[source] Box<dyn Error + Send + Sync + 'static>),
    /// Others on this machine may read or write the database file.
    #[error("other users of this machine may read or write the database file; run chmod 600 on it")]
    FilePermissions,
    /// No database answers, or it refuses. The source says why. It may be another time.
    #[error("the database cannot be used; check the address, and that it runs")]
    Refused(#[source] Box<dyn Error + Send + Sync + 'static>),
    /// The database refused user or password.
    #[error("the database refused user or password")]
    Authentication,
    /// The server has no database of the name.
    #[error("the server has no such database; make it, or correct its name in the address")]
    NoDatabase,
    /// The server is a standby of PostgreSQL: it takes no writes, and what it holds may be old. It may be the primary later.
    #[error("the server is a standby, which takes no writes; connect to the primary")]
    Standby,
}

/// Why [`SqlDatabase::migrate`](crate::SqlDatabase::migrate) failed. Nothing that is stored is lost; it can be called again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The tables were made by a later release, which this one cannot read.
    #[error("the tables have version {found}, and this release knows {known}; update the program")]
    Newer {
        /// The version of the tables.
        found: i64,
        /// The latest version that this release knows.
        known: i64,
    },
    /// The database does not answer or refuses.
    #[error("the tables could not be made or looked at; the user needs the right to create tables, once")]
    Database(#[source] Box<dyn Error + Send + Sync + 'static>),
}

/// What became of a statement that brought no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing was done.
    NotDone(Cause),
    /// Nothing was done because another call was in the way: it may well succeed now.
    InTheWay(Cause),
    /// The key is there already.
    Duplicate(Cause),
    /// What is stored cannot be read.
    Corrupt(Cause),
    /// It may have been done.
    Unknown(Cause),
}

impl Failure {
    pub(crate) fn corrupt(what: &'static str) -> Self {
        Self::Corrupt(Cause::Text(what))
    }

    pub(crate) fn is_missing_table(&self) -> bool {
        matches!(self, Self::NotDone(Cause::Refused { hint: MISSING_TABLES, .. }))
    }

    pub(crate) fn into_cause(self) -> Cause {
        match self {
            Self::NotDone(cause)
            | Self::InTheWay(cause)
            | Self::Duplicate(cause)
            | Self::Corrupt(cause)
            | Self::Unknown(cause) => cause,
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let kind = match &failure {
            Failure::NotDone(_) | Failure::InTheWay(_) | Failure::Duplicate(_) => StoreErrorKind::Unavailable,
            Failure::Corrupt(_) => StoreErrorKind::Corrupt,
            Failure::Unknown(_) => StoreErrorKind::OutcomeUnknown,
        };
        Self::new(kind).with_source(failure.into_cause())
    }
}

/// How far a statement had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// What it changed, if anything, is not kept unless something else is sent.
    Revocable,
    /// What it changes is kept.
    Final,
}

/// Why there is no result. It holds no text of the server: that may repeat what was bound.
#[derive(Debug)]
pub(crate) enum Cause {
    Text(&'static str),
    Refused { code: String, hint: &'static str },
    Io(std::io::Error),
}

pub(crate) const MISSING_TABLES: &str = "a table or column is missing: call SqlDatabase::migrate once";
pub(crate) const READ_ONLY: &str = "it takes no writes: it is read-only, or a replica";
/// What the statements make of a division by zero, and nothing else does.
pub(crate) const STANDBY: &str = "it is a standby, and what it holds may be old: connect to the primary";
const FULL: &str = "its disk is full, or it may not grow";
const RIGHTS: &str = "the user may not do this; it needs SELECT, INSERT, UPDATE and DELETE on the tables";
pub(crate) const LOGIN: &str = "it refused user or password";
const TOO_MANY: &str = "it has too many connections";
const IN_THE_WAY: &str = "another transaction is in the way";
const WAITED: &str = "it waited too long for another transaction";
const CANCELLED: &str = "it cancelled the statement";
const CLOSING: &str = "it ended the connection";
const POOLER: &str = "a pooler between lost a prepared statement: leave prepared_statements off";
const DAMAGED: &str = "its files are damaged";
pub(crate) const NO_DATABASE: &str = "there is no such database";

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Refused { code, hint: "" } => write!(f, "the database refused with {code}"),
            Self::Refused { code, hint } => write!(f, "the database refused with {code}: {hint}"),
            Self::Io(_) => f.write_str("the connection to the database was lost or not made"),
        }
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Text(_) | Self::Refused { .. } => None,
        }
    }
}

/// What an error of sqlx says.
pub(crate) fn failure(error: sqlx::Error, stage: Stage) -> Failure {
    let lost = match stage {
        Stage::Revocable => Failure::NotDone,
        Stage::Final => Failure::Unknown,
    };
    match error {
        sqlx::Error::Database(error) => {
            let (verdict, code) = verdict(&*error);
            match verdict {
                Verdict::Refused(hint) => Failure::NotDone(Cause::Refused { code, hint }),
                Verdict::InTheWay => Failure::InTheWay(Cause::Refused { code, hint: IN_THE_WAY }),
                Verdict::Duplicate => Failure::Duplicate(Cause::Refused { code, hint: "the key is there" }),
                Verdict::Damaged => Failure::Corrupt(Cause::Refused { code, hint: DAMAGED }),
                Verdict::Lost => lost(Cause::Refused { code, hint: CLOSING }),
            }
        }
        sqlx::Error::Io(error) => lost(Cause::Io(error)),
        sqlx::Error::PoolTimedOut => Failure::NotDone(Cause::Text(
            "no connection was free or could be made in time; check that the database runs, or allow more connections",
        )),
        sqlx::Error::PoolClosed => Failure::NotDone(Cause::Text("the pool was closed")),
        sqlx::Error::Tls(_) => {
            lost(Cause::Text("TLS with the database failed; check its certificate and sslmode"))
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            Failure::corrupt("a column holds another type than it was made for")
        }
        sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) | sqlx::Error::Configuration(_) => {
            Failure::NotDone(Cause::Text("the driver refused the statement"))
        }
        _ => lost(Cause::Text("the driver lost the connection or does not understand the answer")),
    }
}

/// No answer came in time.
pub(crate) fn timed_out(stage: Stage) -> Failure {
    let cause = Cause::Text("no answer came in time");
    match stage {
        Stage::Revocable => Failure::NotDone(cause),
        Stage::Final => Failure::Unknown(cause),
    }
}

/// What the code of the database's own error says.
enum Verdict {
    /// The statement was rolled back.
    Refused(&'static str),
    InTheWay,
    Duplicate,
    Damaged,
    /// The error does not say that it was rolled back.
    Lost,
}

fn verdict(error: &dyn sqlx::error::DatabaseError) -> (Verdict, String) {
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return (mysql(error.number()), error.number().to_string());
    }
    #[cfg(feature = "sqlite")]
    if let Some(error) = error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
        use sqlx::error::DatabaseError as _;
        let code = error.code().unwrap_or_default().into_owned();
        let missing = error.message().starts_with("no such ");
        return (sqlite(code.parse().unwrap_or_default(), missing), code);
    }
    let code = error.code().unwrap_or_default().into_owned();
    // Five characters, of the server's own choice.
    let shown = if code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        code.clone()
    } else {
        "an error".to_owned()
    };
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        && error.severity() == sqlx::postgres::PgSeverity::Panic
    {
        // Whatever the code says: the server ends without a rollback, and finds out itself by its log what was committed.
        return (Verdict::Lost, shown);
    }
    (postgres(&code), shown)
}

/// By SQLSTATE.
fn postgres(code: &str) -> Verdict {
    match code {
        "23505" => Verdict::Duplicate,
        // Serialization, deadlock, and what `CREATE … IF NOT EXISTS` says when another makes the same at once.
        "40001" | "40P01" | "42P07" | "42710" => Verdict::InTheWay,
        "42P01" | "3F000" | "42703" => Verdict::Refused(MISSING_TABLES),
        "25006" => Verdict::Refused(READ_ONLY),
        "22012" => Verdict::Refused(STANDBY),
        "53100" => Verdict::Refused(FULL),
        "53300" | "53400" => Verdict::Refused(TOO_MANY),
        "55P03" => Verdict::Refused(WAITED),
        "57014" => Verdict::Refused(CANCELLED),
        "42501" => Verdict::Refused(RIGHTS),
        "3D000" => Verdict::Refused(NO_DATABASE),
        "26000" | "42P05" => Verdict::Refused(POOLER),
        "XX001" | "XX002" => Verdict::Damaged,
        // statement_completion_unknown, and a transaction that the server gave up with its connection.
        "40003" | "25P03" | "25P04" => Verdict::Lost,
        _ if code.starts_with("28") => Verdict::Refused(LOGIN),
        // A server that shuts down may do so after the commit; 57P01 is what a terminated backend says. A pooler that lost its
        // server in the middle speaks of the connection, the protocol (08P01) or its system (58000).
        _ if ["57P", "08", "58"].iter().any(|class| code.starts_with(class)) => Verdict::Lost,
        _ => Verdict::Refused(""),
    }
}

/// By the number of MySQL and MariaDB.
#[cfg(feature = "mysql")]
fn mysql(number: u16) -> Verdict {
    match number {
        1062 => Verdict::Duplicate,
        // Deadlock, and "record has changed since last read" (MariaDB's snapshot isolation).
        1213 | 1020 => Verdict::InTheWay,
        1205 => Verdict::Refused(WAITED),
        1146 | 1054 => Verdict::Refused(MISSING_TABLES),
        1049 | 1046 => Verdict::Refused(NO_DATABASE),
        1290 | 1792 | 1836 => Verdict::Refused(READ_ONLY),
        1021 | 1114 | 3 => Verdict::Refused(FULL),
        1040 | 1203 | 1226 => Verdict::Refused(TOO_MANY),
        1045 | 1698 | 1251 => Verdict::Refused(LOGIN),
        1044 | 1142 | 1143 => Verdict::Refused(RIGHTS),
        1317 | 1969 | 3024 => Verdict::Refused(CANCELLED),
        1034 | 1035 | 1194 | 1195 => Verdict::Damaged,
        // Shutting down, killed, an engine's error in the middle of something, and an error during the commit. From 2000 on they are
        // no server's, but a client's: a proxy lost its server in the middle.
        1030 | 1053 | 1077..=1079 | 1180 | 1184 | 1927 | 2000..=2999 | 4031 => Verdict::Lost,
        _ => Verdict::Refused(""),
    }
}

/// By the extended result code.
#[cfg(feature = "sqlite")]
fn sqlite(code: i32, missing: bool) -> Verdict {
    match code {
        1555 | 2067 => return Verdict::Duplicate,
        1 if missing => return Verdict::Refused(MISSING_TABLES),
        _ => {}
    }
    // The low byte is the primary code.
    match code & 0xff {
        5 | 6 => Verdict::Refused("another process or connection is writing; it was waited for in vain"),
        8 => Verdict::Refused(READ_ONLY),
        // An error of the file system in the middle of something.
        10 => Verdict::Lost,
        11 | 26 => Verdict::Damaged,
        13 => Verdict::Refused(FULL),
        14 => Verdict::Refused("the database file cannot be opened"),
        _ => Verdict::Refused(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x8_only_what_says_that_it_was_rolled_back_is_not_done() {
        // The server ends, or a pooler in between says that it lost it.
        for code in ["57P01", "57P02", "57P03", "08006", "08P01", "58000", "40003", "25P03"] {
            assert!(matches!(postgres(code), Verdict::Lost), "{code}");
        }
        for code in ["25006", "53100", "55P03", "57014", "26000", "42P05", "22P02"] {
            assert!(matches!(postgres(code), Verdict::Refused(_)), "{code}");
        }
        for code in ["40001", "40P01"] {
            assert!(matches!(postgres(code), Verdict::InTheWay), "{code}");
        }
    }

    #[cfg(feature = "mysql")]
    #[test]
    fn x8_a_proxy_that_lost_its_server_does_not_say_what_was_done() {
        // "Server has gone away", "lost connection during query": words of a client.
        for number in [2006, 2013, 1053, 1180] {
            assert!(matches!(mysql(number), Verdict::Lost), "{number}");
        }
        for number in [1290, 1114, 1205, 3024, 1999, 3000] {
            assert!(matches!(mysql(number), Verdict::Refused(_)), "{number}");
        }
    }
}
