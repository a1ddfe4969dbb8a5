//! The options of the commands that work with what is kept.

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args};

use super::seconds;

/// Where connections are kept.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct StoreArgs {
    /// Where connections are kept: redis://, rediss://, postgres://, mysql:// or sqlite:PATH. Default: AUTHFLOW_STORE, else
    /// files. A URL with a password belongs into AUTHFLOW_STORE, for everyone on the machine can read a command line
    #[arg(long, value_name = "URL", help_heading = "What is kept")]
    pub(crate) store: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    /// What the connection is kept under
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// What the connection is kept under
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,

    /// GET, POST, ...
    #[arg(value_parser = method)]
    pub(crate) method: http::Method,

    /// The address, at one of the provider's API origins
    #[arg(value_parser = address)]
    pub(crate) url: url::Url,

    /// A header of the request, such as 'Accept: application/json'; repeat it for more
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(http::HeaderName, http::HeaderValue)>,

    /// The body; `-` reads it from stdin
    #[arg(long, visible_alias = "data", value_name = "TEXT")]
    pub(crate) body: Option<String>,

    /// The request may be sent a second time after a 401 although its method is not idempotent
    #[arg(long)]
    pub(crate) replayable: bool,

    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["name", "all"])))]
pub(crate) struct LogoutArgs {
    /// What the connection is kept under
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: Option<String>,

    /// All connections that are kept
    #[arg(long)]
    pub(crate) all: bool,

    /// Forget without asking the provider, also what cannot be read
    #[arg(long)]
    pub(crate) forget: bool,

    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    /// Sweep again and again, with so many seconds in between, until Ctrl-C
    #[arg(long, value_name = "SECONDS", value_parser = seconds(2_592_000))]
    pub(crate) every: Option<u32>,

    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

fn method(text: &str) -> Result<http::Method, String> {
    text.to_ascii_uppercase().parse().map_err(|_| "a method is a word such as GET or POST".to_owned())
}

fn address(text: &str) -> Result<url::Url, String> {
    let url = url::Url::parse(text)
        .map_err(|error| format!("it is no URL ({error}); write it whole, with https://"))?;
    if url.username().is_empty() && url.password().is_none() {
        Ok(url)
    } else {
        Err("it has a user name or a password in it, which have no place there".to_owned())
    }
}

fn header(text: &str) -> Result<(http::HeaderName, http::HeaderValue), String> {
    let how =
        || "a header has a name and a value, with `:` between them: 'Accept: application/json'".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(how)?;
    let name: http::HeaderName = name.trim().parse().map_err(|_| how())?;
    let value: http::HeaderValue = value.trim().parse().map_err(|_| how())?;
    if name == http::header::AUTHORIZATION {
        return Err("Authorization is what the connection's token is for; leave it out".to_owned());
    }
    Ok((name, value))
}
