//! A registration as it is kept, so that its connections can be renewed without the options of the login.

use std::borrow::Cow;

use authflow::{ClientAuthentication, ProviderDefinition, Secret};
use serde::{Deserialize, Serialize};

use super::{Kind, Registration};

/// The form of a [`Registration`] that is sealed: the client secret is in it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Saved<'a> {
    provider: SavedKind<'a>,
    client_id: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    client_secret: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_authentication: Option<ClientAuthentication>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SavedKind<'a> {
    StackExchange { key: Cow<'a, str>, site: Cow<'a, str> },
    Contentstack { app_uid: Cow<'a, str>, region: Cow<'a, str> },
    Described(Box<ProviderDefinition>),
}

fn exposed<S: serde::Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

impl Registration {
    /// What is kept of it.
    pub(crate) fn saved(&self) -> Saved<'_> {
        Saved {
            provider: match &self.kind {
                Kind::StackExchange { key, site } => {
                    SavedKind::StackExchange { key: key.into(), site: site.into() }
                }
                Kind::Contentstack { app_uid, region } => {
                    SavedKind::Contentstack { app_uid: app_uid.into(), region: region.into() }
                }
                Kind::Described(definition) => SavedKind::Described(definition.clone()),
            },
            client_id: self.client_id.as_str().into(),
            client_secret: self.client_secret.clone(),
            client_authentication: self.authentication,
        }
    }

    /// The registration that was kept, with the provider id that it is to have.
    pub(crate) fn from_saved(saved: Saved<'_>, id: &str) -> Self {
        Self {
            kind: match saved.provider {
                SavedKind::StackExchange { key, site } => {
                    Kind::StackExchange { key: key.into_owned(), site: site.into_owned() }
                }
                SavedKind::Contentstack { app_uid, region } => {
                    Kind::Contentstack { app_uid: app_uid.into_owned(), region: region.into_owned() }
                }
                SavedKind::Described(definition) => Kind::Described(definition),
            },
            id: Some(id.to_owned()),
            client_id: saved.client_id.into_owned(),
            client_secret: saved.client_secret,
            authentication: saved.client_authentication,
        }
    }
}
