//! Who is on the page.

use crate::args::DemoProvider;
use crate::demo::own;

/// A provider of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::demo) enum Party {
    /// One of the demo's own servers.
    Testkit(DemoProvider),
    /// The user's.
    Own,
}

impl Party {
    /// The provider id.
    pub(in crate::demo) const fn id(self) -> &'static str {
        match self {
            Self::Testkit(provider) => provider.id(),
            Self::Own => own::ID,
        }
    }
}
