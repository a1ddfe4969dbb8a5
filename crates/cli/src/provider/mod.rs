//! Which provider the options mean, and our registration there.

mod file;
mod list;
mod saved;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use authflow::contentstack::{Contentstack, Region};
use authflow::stackexchange::StackExchange;
use authflow::{
    ClientAuthentication, ClientCredentials, ConfiguredProvider, Error, FlowManager, Operation,
    ProviderDefinition, Secret, Template, TokenSet,
};

pub(crate) use self::list::list;
pub(crate) use self::saved::Saved;
use crate::args::{ClientArgs, ClientAuth, EndpointArgs, ProviderArgs};
use crate::failure::Failure;
use crate::states::States;

/// Everything that the options say, checked as far as it can be without a redirect URI.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    kind: Kind,
    /// The provider id, where another one than the provider's own was chosen: connections of two registrations at one
    /// provider must not be taken for each other's.
    id: Option<String>,
    client_id: String,
    client_secret: Option<Secret>,
    authentication: Option<ClientAuthentication>,
}

/// What a provider is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To send a user there.
    Login,
    /// To refresh or revoke tokens.
    Tokens,
}

#[derive(Clone, Debug)]
enum Kind {
    StackExchange {
        key: String,
        site: String,
    },
    Contentstack {
        app_uid: String,
        region: String,
    },
    /// Built once, so that its mistakes are known.
    Described(Box<ProviderDefinition>),
}

impl Registration {
    /// Reads the options. The error names what is missing, and how to get it.
    pub(crate) fn of(args: &ProviderArgs, purpose: Purpose) -> Result<Self, Failure> {
        let which = Which::of(args)?;
        which.refuse_strangers(args)?;
        let (client_secret, authentication) = secret(&args.client)?;
        let mut lacking = Lacking::default();
        let client_id =
            lacking.text(args.client.client_id.as_ref(), "--client-id", which.where_client_id_is());
        let kind = match which {
            Which::StackExchange => Kind::StackExchange {
                key: lacking.text(
                    args.key.as_ref(),
                    "--key",
                    "Stack Exchange's API takes a token only together with the key of the application; \
                     https://stackapps.com/apps/oauth shows it below the client id",
                ),
                site: lacking.text(
                    args.site.as_ref(),
                    "--site",
                    "the site that API requests are about, as its address has it: stackoverflow, superuser, meta.serverfault",
                ),
            },
            Which::Contentstack => Kind::Contentstack {
                app_uid: lacking.text(
                    args.app_uid.as_ref(),
                    "--app-uid",
                    "it is in the address of your app in Contentstack's Developer Hub, and on its page Basic Information",
                ),
                region: lacking.text(
                    args.region.as_ref(),
                    "--region",
                    "where your organization is: na, eu, au, azure-na, azure-eu, gcp-na or gcp-eu; the address that you use \
                     Contentstack at begins with it (https://eu-app.contentstack.com is eu, https://app.contentstack.com \
                     is na)",
                ),
            },
            Which::File(path) => {
                lacking.check()?;
                described(file::read(&path)?)?
            }
            Which::Endpoints => described(from_endpoints(&args.endpoints, purpose, &mut lacking)?)?,
        };
        lacking.check()?;
        let registration = Self { kind, id: None, client_id, client_secret, authentication };
        // Built once, so that its mistakes are known before anything is read or made.
        registration.manager(None, Arc::new(States::default()))?;
        Ok(registration)
    }

    /// What describes the provider, where it is none that is built in.
    pub(crate) fn definition(&self) -> Option<&ProviderDefinition> {
        match &self.kind {
            Kind::Described(definition) => Some(definition),
            Kind::StackExchange { .. } | Kind::Contentstack { .. } => None,
        }
    }

    /// The provider's own id.
    pub(crate) fn provider(&self) -> &str {
        match &self.kind {
            Kind::StackExchange { .. } => "stackexchange",
            Kind::Contentstack { .. } => "contentstack",
            Kind::Described(definition) => &definition.id,
        }
    }

    /// The same with another provider id.
    pub(crate) fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// Whether both are one registration at one provider: connections of the one can be renewed with the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let is_same_provider = match (&self.kind, &other.kind) {
            (Kind::StackExchange { .. }, Kind::StackExchange { .. }) => true,
            (
                Kind::Contentstack { app_uid, region },
                Kind::Contentstack { app_uid: other, region: others },
            ) => app_uid == other && region == others,
            (Kind::Described(one), Kind::Described(other)) => {
                one.endpoints.token_endpoint == other.endpoints.token_endpoint
            }
            _ => false,
        };
        is_same_provider && self.client_id == other.client_id
    }

    /// Which registration it is, in words.
    pub(crate) fn words(&self) -> String {
        let provider = match &self.kind {
            Kind::Described(definition) => {
                definition.endpoints.token_endpoint.as_ref().map(text).unwrap_or_default()
            }
            _ => self.provider().to_owned(),
        };
        format!("client id {} at {provider}", self.client_id)
    }

    /// Where access tokens may go, for those who asked for another place.
    pub(crate) fn api_origins(&self) -> Option<Vec<String>> {
        match &self.kind {
            Kind::Described(definition) => Some(definition.endpoints.api_origins.iter().map(text).collect()),
            _ => None,
        }
    }

    /// The redirect URI that tokens came by, where the provider asks for it at a refresh and they tell it.
    pub(crate) fn redirect_uri_of<'t>(&self, tokens: &'t TokenSet) -> Option<&'t str> {
        match &self.kind {
            Kind::Contentstack { .. } => tokens.extra_str("redirect_uri"),
            Kind::StackExchange { .. } | Kind::Described(_) => None,
        }
    }

    /// The manager, with the redirect URI that is in use.
    pub(crate) fn manager(
        &self,
        redirect_uri: Option<&str>,
        states: Arc<States>,
    ) -> Result<Box<dyn FlowManager>, Failure> {
        let mut credentials = match &self.client_secret {
            Some(secret) => ClientCredentials::confidential(self.client_id.as_str(), secret.clone()),
            None => ClientCredentials::public(self.client_id.as_str()),
        };
        if let Some(authentication) = self.authentication {
            credentials = credentials.authenticated_by(authentication);
        }
        if let Some(redirect_uri) = redirect_uri {
            credentials = credentials.redirect_uri(redirect_uri);
        }
        Ok(match &self.kind {
            Kind::StackExchange { key, site } => {
                let builder =
                    StackExchange::builder(credentials).key(key.as_str()).site(site).state_store(states);
                let id = self.id.as_deref().unwrap_or(self.provider());
                Box::new(builder.provider_id(id).build()?)
            }
            Kind::Contentstack { app_uid, region } => {
                let region = region.parse().map_err(|_| {
                    Failure::usage(format!(
                        "--region is none of {}: it is where your organization is, as in the address that you use \
                         Contentstack at",
                        Region::ALL.map(Region::id).join(", ")
                    ))
                })?;
                let builder =
                    Contentstack::builder(credentials).app_uid(app_uid).region(region).state_store(states);
                let id = self.id.as_deref().unwrap_or(self.provider());
                Box::new(builder.provider_id(id).build()?)
            }
            Kind::Described(definition) => {
                let mut definition = ProviderDefinition::clone(definition);
                if let Some(id) = &self.id {
                    definition.id.clone_from(id);
                }
                Box::new(ConfiguredProvider::new(definition, credentials, states)?)
            }
        })
    }
}

fn described(definition: ProviderDefinition) -> Result<Kind, Failure> {
    definition.clone().build()?;
    Ok(Kind::Described(Box::new(definition)))
}

/// Which provider is meant.
#[derive(Debug)]
enum Which {
    StackExchange,
    Contentstack,
    File(PathBuf),
    Endpoints,
}

impl Which {
    fn of(args: &ProviderArgs) -> Result<Self, Failure> {
        let by_endpoint = args.endpoint_option();
        match (&args.provider, by_endpoint) {
            (Some(_), Some(option)) => Err(Failure::usage(format!(
                "PROVIDER and {option} exclude each other: a provider has its endpoints already. Leave one of them out"
            ))),
            (None, Some(_)) => Ok(Self::Endpoints),
            (None, None) => Err(Failure::usage(
                "which provider? Name `stackexchange` or `contentstack` (`authflow providers` tells about them), or a file \
                 that describes one, or give --authorization-endpoint and --token-endpoint, which the provider's \
                 documentation has",
            )),
            (Some(provider), None) => match provider.to_str() {
                Some("stackexchange") => Ok(Self::StackExchange),
                Some("contentstack") => Ok(Self::Contentstack),
                _ => file_named(provider),
            },
        }
    }

    const fn where_client_id_is(&self) -> &'static str {
        match self {
            Self::StackExchange => {
                "register an application at https://stackapps.com/apps/oauth/register, which then shows the client id"
            }
            Self::Contentstack => {
                "in Contentstack's Developer Hub, open your app; the page OAuth shows the client id"
            }
            Self::File(_) | Self::Endpoints => {
                "register an application at the provider, mostly on a page for developers in its settings; it then shows \
                 the client id"
            }
        }
    }

    /// An option that another provider has is a mistake, not something to pass over.
    fn refuse_strangers(&self, args: &ProviderArgs) -> Result<(), Failure> {
        let options = [
            ("--key", args.key.is_some(), matches!(self, Self::StackExchange), "stackexchange"),
            ("--site", args.site.is_some(), matches!(self, Self::StackExchange), "stackexchange"),
            ("--app-uid", args.app_uid.is_some(), matches!(self, Self::Contentstack), "contentstack"),
            ("--region", args.region.is_some(), matches!(self, Self::Contentstack), "contentstack"),
        ];
        for (option, is_given, is_known, owner) in options {
            if is_given && !is_known {
                return Err(Failure::usage(format!("{option} is for {owner} only; leave it out")));
            }
        }
        Ok(())
    }
}

impl ProviderArgs {
    /// Whether a provider is named, in one way or the other.
    pub(crate) fn names_one(&self) -> bool {
        self.provider.is_some() || self.endpoint_option().is_some()
    }

    fn endpoint_option(&self) -> Option<&'static str> {
        self.endpoints.first()
    }
}

impl EndpointArgs {
    /// The first option that is given.
    pub(crate) fn first(&self) -> Option<&'static str> {
        match self {
            Self { authorization_endpoint: Some(_), .. } => Some("--authorization-endpoint"),
            Self { token_endpoint: Some(_), .. } => Some("--token-endpoint"),
            Self { revocation_endpoint: Some(_), .. } => Some("--revocation-endpoint"),
            Self { issuer: Some(_), .. } => Some("--issuer"),
            Self { api_origins, .. } if !api_origins.is_empty() => Some("--api-origin"),
            _ => None,
        }
    }
}

fn file_named(name: &OsStr) -> Result<Which, Failure> {
    let path = PathBuf::from(name);
    if path.is_file() {
        return Ok(Which::File(path));
    }
    Err(Failure::usage(format!(
        "there is no provider and no file `{}`. Built in are stackexchange and contentstack; for any other, write a file \
         (`authflow login --help` has one to start from), or give --authorization-endpoint and --token-endpoint",
        path.display()
    )))
}

/// What the options lack: all of it is told at once.
#[derive(Debug, Default)]
struct Lacking(Vec<(&'static str, &'static str, &'static str)>);

impl Lacking {
    /// The value of an option that is required. `how` says where to get it.
    fn text(&mut self, value: Option<&String>, option: &'static str, how: &'static str) -> String {
        match value {
            Some(value) if !value.trim().is_empty() => return value.clone(),
            Some(_) => self.0.push((option, "is empty", how)),
            None => self.0.push((option, "is missing", how)),
        }
        String::new()
    }

    fn check(&self) -> Result<(), Failure> {
        match self.0.as_slice() {
            [] => Ok(()),
            [(option, lack, how)] => Err(Failure::usage(format!("{option} {lack}: {how}"))),
            several => {
                let lines = several.iter().map(|(option, lack, how)| format!("\n  {option} {lack}: {how}"));
                Err(Failure::usage(format!(
                    "{} options are needed:{}",
                    several.len(),
                    lines.collect::<String>()
                )))
            }
        }
    }
}

/// The secret from the environment, and how the client authenticates. Never from argv, which everyone on the machine sees.
fn secret(args: &ClientArgs) -> Result<(Option<Secret>, Option<ClientAuthentication>), Failure> {
    let secret = match &args.client_secret_env {
        None => None,
        Some(name) => Some(from_environment(name)?),
    };
    let authentication = match args.client_auth {
        None => None,
        Some(ClientAuth::None) if secret.is_some() => {
            return Err(Failure::usage(
                "--client-auth none is a client without a secret; leave --client-secret-env out, or choose basic or post",
            ));
        }
        Some(how @ (ClientAuth::Basic | ClientAuth::Post)) if secret.is_none() => {
            return Err(Failure::usage(format!(
                "--client-auth {} needs the client secret: put it into an environment variable, and name that with \
                 --client-secret-env VAR",
                how.name()
            )));
        }
        Some(ClientAuth::Basic) => Some(ClientAuthentication::ClientSecretBasic),
        Some(ClientAuth::Post) => Some(ClientAuthentication::ClientSecretPost),
        Some(ClientAuth::None) => Some(ClientAuthentication::None),
    };
    Ok((secret, authentication))
}

fn from_environment(name: &str) -> Result<Secret, Failure> {
    let how = "set it in the shell before, such as `read -rs CLIENT_SECRET; export CLIENT_SECRET`";
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(Failure::usage(
            "--client-secret-env takes the name of an environment variable, not the secret itself",
        ));
    }
    match std::env::var(name) {
        Ok(secret) if secret.trim().is_empty() => Err(Failure::usage(format!(
            "the environment variable that --client-secret-env names is empty; {how}"
        ))),
        Ok(secret) => Ok(Secret::new(secret)),
        // The name is not repeated: whoever mistook the option gave the secret itself.
        Err(std::env::VarError::NotPresent) => Err(Failure::usage(format!(
            "--client-secret-env names an environment variable that is not set; {how}. The option takes the variable's \
             name, not the secret"
        ))),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Failure::usage("the environment variable that --client-secret-env names is not text"))
        }
    }
}

/// The id of a provider that has no name.
const BY_ENDPOINTS: &str = "provider";

/// A provider from nothing but its endpoints: everything else as the RFCs say.
fn from_endpoints(
    args: &EndpointArgs,
    purpose: Purpose,
    lacking: &mut Lacking,
) -> Result<ProviderDefinition, Failure> {
    let documentation = "the provider's documentation has it, or its metadata at /.well-known/oauth-authorization-server or \
                         /.well-known/openid-configuration";
    // Tokens that are there already can do without the place where users are sent.
    let authorization = match (&args.authorization_endpoint, purpose) {
        (None, Purpose::Tokens) => None,
        (given, _) => Some(lacking.text(given.as_ref(), "--authorization-endpoint", documentation)),
    };
    let token = lacking.text(args.token_endpoint.as_ref(), "--token-endpoint", documentation);
    lacking.check()?;
    let mut definition = ProviderDefinition::default();
    definition.id = BY_ENDPOINTS.to_owned();
    let template = |url: &String| Template::parse(&escaped(url)).map_err(build_error);
    definition.endpoints.authorization_endpoint = authorization.as_ref().map(template).transpose()?;
    definition.endpoints.token_endpoint = Some(template(&token)?);
    definition.endpoints.revocation_endpoint = args.revocation_endpoint.as_ref().map(template).transpose()?;
    definition.endpoints.api_origins = args.api_origins.iter().map(template).collect::<Result<_, _>>()?;
    definition.endpoints.issuer = args.issuer.clone();
    Ok(definition)
}

/// A template as it is written.
fn text(template: &Template) -> String {
    let written = serde_json::to_value(template).ok();
    written.and_then(|written| written.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A URL given as an option is no template.
fn escaped(url: &str) -> String {
    url.replace('{', "{{").replace('}', "}}")
}

fn build_error(error: Error) -> Failure {
    Failure::from(error.at(BY_ENDPOINTS, Operation::Build))
}
