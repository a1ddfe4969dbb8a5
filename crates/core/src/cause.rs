//! An error that many wait for has one cause.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;

impl Error {
    /// With the cause of `shared`, as if it were its own.
    pub(crate) fn with_cause_of(self, shared: &Arc<Self>) -> Self {
        match std::error::Error::source(&**shared) {
            Some(_) => self.with_source(CauseOf(Arc::clone(shared))),
            None => self,
        }
    }
}

#[derive(Debug)]
struct CauseOf(Arc<Error>);

impl CauseOf {
    fn cause(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)
    }
}

impl fmt::Display for CauseOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause().map_or(Ok(()), |cause| fmt::Display::fmt(cause, f))
    }
}

impl std::error::Error for CauseOf {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause().and_then(std::error::Error::source)
    }
}
