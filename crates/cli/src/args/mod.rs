//! The command line.

mod help;
mod kept;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};

use self::help::{
    ABOUT, DEMO_EXAMPLES, DEMO_LONG, EXAMPLES, LOGIN_EXAMPLES, LOGIN_LONG, LOGOUT_EXAMPLES, LOGOUT_LONG,
    LONG_ABOUT, REFRESH_EXAMPLES, REFRESH_LONG, REQUEST_EXAMPLES, REQUEST_LONG, REVOKE_EXAMPLES, REVOKE_LONG,
    STATUS_EXAMPLES, STATUS_LONG, SWEEP_EXAMPLES, SWEEP_LONG, TOKEN_EXAMPLES, TOKEN_LONG,
};
pub(crate) use self::kept::{AccessArgs, LogoutArgs, RequestArgs, StatusArgs, StoreArgs, SweepArgs};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "authflow", version, about = ABOUT, long_about = LONG_ABOUT, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show connected accounts and every message behind them, with servers on this machine
    #[command(long_about = DEMO_LONG, after_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    /// Connect to a provider, and keep the connection under a name
    #[command(long_about = LOGIN_LONG, after_help = LOGIN_EXAMPLES)]
    Login(LoginArgs),
    /// Print a valid access token of a connection, and nothing else
    #[command(long_about = TOKEN_LONG, after_help = TOKEN_EXAMPLES)]
    Token(AccessArgs),
    /// Show the connections that are kept
    #[command(long_about = STATUS_LONG, after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Send an API request with a connection's access token
    #[command(long_about = REQUEST_LONG, after_help = REQUEST_EXAMPLES)]
    Request(RequestArgs),
    /// Revoke a connection at the provider, and forget it
    #[command(long_about = LOGOUT_LONG, after_help = LOGOUT_EXAMPLES)]
    Logout(LogoutArgs),
    /// Refresh the connections that are due
    #[command(long_about = SWEEP_LONG, after_help = SWEEP_EXAMPLES)]
    Sweep(SweepArgs),
    /// Exchange a refresh token from stdin for new tokens
    #[command(long_about = REFRESH_LONG, after_help = REFRESH_EXAMPLES)]
    Refresh(TokenArgs),
    /// Revoke tokens from stdin at the provider
    #[command(long_about = REVOKE_LONG, after_help = REVOKE_EXAMPLES)]
    Revoke(TokenArgs),
    /// List the providers that are built in, with the facts that matter
    Providers,
}

impl Command {
    /// Whether it goes on until it is interrupted, so that this is its good end.
    pub(crate) const fn goes_on(&self) -> bool {
        matches!(self, Self::Demo(DemoArgs { headless: false, .. }))
    }
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Whose wire format the server speaks: `rfc`, `stackexchange` or `contentstack`. Without it all three; with --headless and
    /// --fault: rfc. Or a file (.toml, .json) that describes a provider: a server of yours, on the page beside the three
    #[arg(value_name = "PROVIDER")]
    pub(crate) provider: Option<OsString>,

    /// Without a page and a browser: be your own user, and write a transcript
    #[arg(long)]
    pub(crate) headless: bool,

    /// Do not open a browser: write the line `open: URL` to stderr
    #[arg(long, conflicts_with = "headless")]
    pub(crate) no_browser: bool,

    /// How long an access token lives at the demo's own servers, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, conflicts_with = "headless", value_parser = seconds(86_400))]
    pub(crate) lifetime: u32,

    /// How long one may take between *Connect* and the callback, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, conflicts_with = "headless", value_parser = seconds(86_400))]
    pub(crate) flow_lifetime: u32,

    /// Let the server misbehave in this way; `help` lists the names
    #[arg(long, value_name = "NAME")]
    pub(crate) fault: Option<String>,

    #[command(flatten)]
    pub(crate) own: OwnArgs,
}

/// A server of the user's on the demo's page, as `login` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct OwnArgs {
    #[command(flatten)]
    pub(crate) endpoints: EndpointArgs,

    #[command(flatten)]
    pub(crate) client: ClientArgs,

    /// The redirect URI that is registered: http://127.0.0.1:PORT/accounts/own/callback. The page is then at this port. Default:
    /// a free one
    #[arg(long, value_name = "URL", help_heading = "Your registration at the provider")]
    pub(crate) redirect_uri: Option<String>,

    /// Ask your server for this scope instead of the provider's default ones; repeat it for more
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope, help_heading = "Your registration at the provider")]
    pub(crate) scopes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DemoProvider {
    /// Stack Exchange: comma scopes, `expires`, the token in the query, no refresh
    StackExchange,
    /// Contentstack: app uid, region in the callback, revocation in three steps
    Contentstack,
    /// What the RFCs say: PKCE, `iss`, rotation, revocation
    Rfc,
}

impl DemoProvider {
    /// The provider id.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::StackExchange => "stackexchange",
            Self::Contentstack => "contentstack",
            Self::Rfc => "rfc",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    #[command(flatten)]
    pub(crate) provider: ProviderArgs,

    /// Ask for this scope instead of the provider's default ones; repeat it for more
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
    pub(crate) scopes: Vec<String>,

    /// Add a parameter of the provider's own to the authorization URL, such as prompt=consent; repeat it for more
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) parameters: Vec<(String, String)>,

    /// Do not open a browser: write the line `open: URL` to stderr
    #[arg(long)]
    pub(crate) no_browser: bool,

    /// How long to wait for the callback, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = seconds(86_400))]
    pub(crate) timeout: u32,

    /// Print the tokens whole, as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// What to keep the connection under. Default: the provider's id. Without a provider: connect this one again
    #[arg(long, value_name = "NAME", conflicts_with = "no_save", help_heading = "What is kept")]
    pub(crate) name: Option<String>,

    /// Keep nothing: only print the tokens
    #[arg(long, help_heading = "What is kept")]
    pub(crate) no_save: bool,

    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    pub(crate) provider: ProviderArgs,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which provider, and our registration there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct ProviderArgs {
    /// `stackexchange`, `contentstack`, or a file (.toml, .json) that describes a provider
    #[arg(value_name = "PROVIDER")]
    pub(crate) provider: Option<OsString>,

    #[command(flatten)]
    pub(crate) endpoints: EndpointArgs,

    #[command(flatten)]
    pub(crate) client: ClientArgs,

    /// The redirect URI that is registered. Port 0 stands for a free one. An address that is not of this machine can only
    /// be pasted. Default: http://127.0.0.1:0/callback
    #[arg(long, value_name = "URL", help_heading = "Your registration at the provider")]
    pub(crate) redirect_uri: Option<String>,

    /// Contentstack: the uid of the app in the Developer Hub
    #[arg(long, value_name = "UID", help_heading = "What only some providers have")]
    pub(crate) app_uid: Option<String>,

    /// Contentstack: the region of the organization: na, eu, au, azure-na, azure-eu, gcp-na, gcp-eu
    #[arg(long, value_name = "REGION", help_heading = "What only some providers have")]
    pub(crate) region: Option<String>,

    /// Stack Exchange: the key of the application
    #[arg(long, value_name = "KEY", help_heading = "What only some providers have")]
    pub(crate) key: Option<String>,

    /// Stack Exchange: the site that API requests are about, such as stackoverflow
    #[arg(long, value_name = "SITE", help_heading = "What only some providers have")]
    pub(crate) site: Option<String>,
}

/// A provider by nothing but its endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct EndpointArgs {
    /// Instead of PROVIDER: the authorization endpoint (RFC 6749 section 3.1)
    #[arg(long, value_name = "URL", help_heading = "A provider by its endpoints")]
    pub(crate) authorization_endpoint: Option<String>,

    /// The token endpoint (RFC 6749 section 3.2)
    #[arg(long, value_name = "URL", help_heading = "A provider by its endpoints")]
    pub(crate) token_endpoint: Option<String>,

    /// The revocation endpoint (RFC 7009)
    #[arg(long, value_name = "URL", help_heading = "A provider by its endpoints")]
    pub(crate) revocation_endpoint: Option<String>,

    /// The issuer. The callback must then name the same one (RFC 9207)
    #[arg(long, value_name = "ISS", help_heading = "A provider by its endpoints")]
    pub(crate) issuer: Option<String>,

    /// An origin of the provider's API, where access tokens may go, such as `https://api.example`; repeat it for more
    #[arg(long = "api-origin", value_name = "ORIGIN", help_heading = "A provider by its endpoints")]
    pub(crate) api_origins: Vec<String>,
}

/// Who we are there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct ClientArgs {
    /// The client id that the provider gave your application when it was registered
    #[arg(long, value_name = "ID", help_heading = "Your registration at the provider")]
    pub(crate) client_id: Option<String>,

    /// The environment variable that holds the client secret. A secret on a command line could be read by everyone on
    /// the machine
    #[arg(long, value_name = "VAR", help_heading = "Your registration at the provider")]
    pub(crate) client_secret_env: Option<String>,

    /// How the client authenticates, where the provider's default does not fit the registration
    #[arg(long, value_name = "HOW", help_heading = "Your registration at the provider")]
    pub(crate) client_auth: Option<ClientAuth>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientAuth {
    /// client_secret_basic: id and secret in the Authorization header
    Basic,
    /// client_secret_post: id and secret in the body
    Post,
    /// A public client: no secret, PKCE alone
    None,
}

impl ClientAuth {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Post => "post",
            Self::None => "none",
        }
    }
}

impl Cli {
    /// Reads the arguments of this process. The error quotes no value that was refused: it may be a secret in the wrong place,
    /// and what is written to stderr may be kept in a log.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        Self::read_from(std::env::args_os())
    }

    fn read_from(
        arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        Self::try_parse_from(arguments).map_err(|mut error| {
            if error.kind() == ErrorKind::ValueValidation {
                error.insert(ContextKind::InvalidValue, ContextValue::String("****".to_owned()));
            }
            error
        })
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a parameter has a name and a value, with `=` between them: prompt=consent".to_owned()),
    }
}

/// So many seconds. What is wrong is said without the value, as everywhere.
fn seconds(most: u32) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| {
        let seconds = text.parse().ok().filter(|seconds| (1..=most).contains(seconds));
        seconds.ok_or_else(|| format!("it is a whole number of seconds, from 1 to {most}"))
    }
}

/// An empty one would be left out in silence, and the user would connect without what they thought they asked for.
fn scope(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if !text.is_empty() && text.bytes().all(is_allowed) {
        return Ok(text.to_owned());
    }
    Err("a scope is visible ASCII without spaces, quotes and backslashes (RFC 6749 section 3.3): repeat --scope for \
         several, and leave it out for the provider's default ones"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::{Cli, Command};

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn h3_no_option_takes_a_secret() {
        for command in Cli::command().get_subcommands() {
            for option in command.get_arguments() {
                let name = option.get_long().unwrap_or_default();
                assert!(!name.contains("secret") || name.ends_with("-env"), "--{name}");
                assert!(!name.contains("token") || name.ends_with("-endpoint"), "--{name}");
            }
        }
        assert!(Cli::try_parse_from(["authflow", "login", "--client-secret", "x"]).is_err());
    }

    /// All that the help says, and the README.
    fn texts() -> Vec<String> {
        let mut texts = vec![include_str!("../../README.md").to_owned()];
        let mut cli = Cli::command();
        texts.push(cli.render_long_help().to_string());
        texts.extend(cli.get_subcommands_mut().map(|command| command.render_long_help().to_string()));
        texts
    }

    #[test]
    fn h3_no_example_puts_a_token_on_a_command_line() {
        for text in texts() {
            assert!(!text.contains("$(authflow"), "{text}");
        }
        let [_, help, ..] = &texts()[..] else { panic!("no help") };
        let (request, pipe) = (help.find("authflow request work").unwrap(), help.find("curl -H @-").unwrap());
        assert!(request < pipe, "{help}");
    }

    #[test]
    fn h3_no_example_writes_tokens_where_others_may_read_them() {
        let mut count = 0;
        for text in texts() {
            let text = text.replace("\\\n", "");
            for line in text.lines().filter(|line| line.contains(".json") && line.contains(" > ")) {
                count += 1;
                assert!(line.trim_start().starts_with("(umask 077; authflow "), "{line}");
            }
        }
        assert_eq!(count, 3);
    }

    #[test]
    fn h1_a_value_that_is_refused_is_not_quoted() {
        const SECRET: &str = "planted-2YotnFZFEjr1zCsicMWpAA";
        let (bearer, user) =
            (format!("Authorization: Bearer {SECRET}"), format!("https://me:{SECRET}@api.example/"));
        for arguments in [
            &["login", "--param", SECRET][..],
            &["request", "work", "GET", "https://api.example/", "--header", &bearer],
            &["request", "work", "GET", "https://api.example/", "--header", SECRET],
            &["request", "work", "GET", &user],
            &["request", "work", "a b", SECRET],
            &["request", "work", "GET", SECRET],
            &["sweep", "--every", SECRET],
            &["login", &format!("--client-secret={SECRET}")],
            &["login", "--client-secret", SECRET],
        ] {
            let error = Cli::read_from([&["authflow"], arguments].concat()).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(!error.to_string().contains(SECRET), "{error}");
        }
        let error = Cli::read_from(["authflow", "request", "a", "GET", "/path"]).unwrap_err().to_string();
        assert!(error.contains("<URL>") && error.contains("write it whole"), "{error}");
    }

    #[test]
    fn r6749_3_3_a_scope_is_made_of_the_characters_of_a_scope() {
        let is_taken =
            |scope: &str| Cli::try_parse_from(["authflow", "login", &format!("--scope={scope}")]).is_ok();
        for code in 0..=0xff_u8 {
            let c = char::from(code);
            let expected = c.is_ascii_graphic() && !matches!(c, '"' | '\\');
            assert_eq!(is_taken(&format!("a{c}b")), expected, "{c:?}");
        }
        assert!(is_taken("https://api.example/auth/read:all"));
        assert!(!is_taken(""));
    }

    #[test]
    fn parameters_keep_what_follows_the_first_equals_sign() {
        let cli = Cli::try_parse_from(["authflow", "login", "--param", "a=b=c", "--param", "d="]).unwrap();
        let Command::Login(login) = cli.command else { panic!("not login") };
        assert_eq!(login.parameters, [("a".into(), "b=c".into()), ("d".into(), String::new())]);
        assert!(Cli::try_parse_from(["authflow", "login", "--param", "novalue"]).is_err());
    }
}
