//! The regions: a closed list, because a region decides where a code, a client secret and tokens go.

use std::fmt;
use std::str::FromStr;

/// A region of Contentstack. The list is closed: a host that is not in it gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Region {
    /// AWS North America.
    #[default]
    Na,
    /// AWS Europe.
    Eu,
    /// AWS Australia.
    Au,
    /// Azure North America.
    AzureNa,
    /// Azure Europe.
    AzureEu,
    /// Google Cloud North America.
    GcpNa,
    /// Google Cloud Europe.
    GcpEu,
}

impl Region {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Na, Self::Eu, Self::Au, Self::AzureNa, Self::AzureEu, Self::GcpNa, Self::GcpEu];

    /// The name that Contentstack's tools use: `eu`, `azure-na`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Na => "na",
            Self::Eu => "eu",
            Self::Au => "au",
            Self::AzureNa => "azure-na",
            Self::AzureEu => "azure-eu",
            Self::GcpNa => "gcp-na",
            Self::GcpEu => "gcp-eu",
        }
    }

    /// The name that callbacks and token responses use: `EU`, `AZURE_NA`.
    #[must_use]
    pub const fn location_code(self) -> &'static str {
        match self {
            Self::Na => "NA",
            Self::Eu => "EU",
            Self::Au => "AU",
            Self::AzureNa => "AZURE_NA",
            Self::AzureEu => "AZURE_EU",
            Self::GcpNa => "GCP_NA",
            Self::GcpEu => "GCP_EU",
        }
    }

    /// Other names in use.
    #[must_use]
    pub const fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Na => &["us", "aws-na", "aws_na"],
            Self::Eu => &["aws-eu", "aws_eu"],
            Self::Au => &["aws-au", "aws_au"],
            Self::AzureNa => &["azure_na"],
            Self::AzureEu => &["azure_eu"],
            Self::GcpNa => &["gcp_na"],
            Self::GcpEu => &["gcp_eu"],
        }
    }

    /// The origin of the web application, where users approve.
    #[must_use]
    pub const fn application(self) -> &'static str {
        match self {
            Self::Na => "https://app.contentstack.com",
            Self::Eu => "https://eu-app.contentstack.com",
            Self::Au => "https://au-app.contentstack.com",
            Self::AzureNa => "https://azure-na-app.contentstack.com",
            Self::AzureEu => "https://azure-eu-app.contentstack.com",
            Self::GcpNa => "https://gcp-na-app.contentstack.com",
            Self::GcpEu => "https://gcp-eu-app.contentstack.com",
        }
    }

    /// The origin of the Developer Hub API.
    #[must_use]
    pub const fn developer_hub(self) -> &'static str {
        match self {
            Self::Na => "https://developerhub-api.contentstack.com",
            Self::Eu => "https://eu-developerhub-api.contentstack.com",
            Self::Au => "https://au-developerhub-api.contentstack.com",
            Self::AzureNa => "https://azure-na-developerhub-api.contentstack.com",
            Self::AzureEu => "https://azure-eu-developerhub-api.contentstack.com",
            Self::GcpNa => "https://gcp-na-developerhub-api.contentstack.com",
            Self::GcpEu => "https://gcp-eu-developerhub-api.contentstack.com",
        }
    }

    /// The origin of the Content Management API.
    #[must_use]
    pub const fn management_api(self) -> &'static str {
        match self {
            // The one host that ends in .io.
            Self::Na => "https://api.contentstack.io",
            Self::Eu => "https://eu-api.contentstack.com",
            Self::Au => "https://au-api.contentstack.com",
            Self::AzureNa => "https://azure-na-api.contentstack.com",
            Self::AzureEu => "https://azure-eu-api.contentstack.com",
            Self::GcpNa => "https://gcp-na-api.contentstack.com",
            Self::GcpEu => "https://gcp-eu-api.contentstack.com",
        }
    }

    /// Every name of the region.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        [self.location_code(), self.id()].into_iter().chain(self.aliases().iter().copied())
    }

    /// The region of a name that came from outside; `None` for no name at all.
    pub(crate) fn named(name: Option<&str>) -> Result<Option<Self>, UnknownRegion> {
        name.filter(|name| !name.is_empty()).map(Self::from_str).transpose()
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    /// Reads an [`id`](Region::id), a [`location_code`](Region::location_code) or one of the
    /// [`aliases`](Region::aliases), in any case.
    fn from_str(name: &str) -> Result<Self, UnknownRegion> {
        let known = |region: &Self| region.names().any(|known| known.eq_ignore_ascii_case(name));
        Self::ALL.into_iter().find(known).ok_or(UnknownRegion)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A name that is no region's. It does not repeat the name: that may be an attacker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no region of Contentstack; there are na, eu, au, azure-na, azure-eu, gcp-na and gcp-eu")]
#[non_exhaustive]
pub struct UnknownRegion;
