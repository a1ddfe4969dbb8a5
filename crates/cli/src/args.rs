//! The command line.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand, ValueEnum};

const ABOUT: &str = "Connects to an OAuth 2.0 provider from the terminal, and shows how a flow happens";

const LONG_ABOUT: &str = "\
Connects to an OAuth 2.0 provider from the terminal, and shows how a flow happens.

`authflow demo` needs nothing: it plays both sides on this machine and explains each step. \
`authflow login` connects you to a real provider and prints the tokens.";

const EXAMPLES: &str = "\
Examples:
  authflow demo --headless
  authflow demo contentstack --fault invalid-grant --headless
  authflow providers
  authflow login stackexchange --client-id 12345 --key 'abc((' --site stackoverflow
  authflow login ./gitea.toml --client-id my-app --json > tokens.json
  authflow refresh ./gitea.toml --client-id my-app < tokens.json > new.json
  authflow revoke ./gitea.toml --client-id my-app < new.json

Exit codes: 0 done, 1 failed, 2 usage, 3 denied by the user, 4 timed out.
Results go to stdout, everything else to stderr. Tokens are masked unless --json is given;
`refresh` prints them whole, to be used again.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "authflow", version, about = ABOUT, long_about = LONG_ABOUT, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a whole flow, step by step, against an authorization server on this machine
    #[command(long_about = DEMO_LONG, after_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    /// Connect to a provider and print the tokens
    #[command(long_about = LOGIN_LONG, after_help = LOGIN_EXAMPLES)]
    Login(LoginArgs),
    /// Exchange the refresh token for new tokens
    #[command(long_about = REFRESH_LONG, after_help = REFRESH_EXAMPLES)]
    Refresh(TokenArgs),
    /// Revoke the tokens at the provider
    #[command(long_about = REVOKE_LONG, after_help = REVOKE_EXAMPLES)]
    Revoke(TokenArgs),
    /// List the providers that are built in, with the facts that matter
    Providers,
}

const DEMO_LONG: &str = "\
Shows a whole flow, step by step, against an authorization server on this machine.

Nothing leaves the machine and nothing has to be registered. The server speaks as Stack Exchange, as Contentstack, or as \
the RFCs say. The program opens your browser at the server's consent page; with --headless it is its own user and \
approves by itself. Where there is no browser (no DISPLAY), it prints the address and waits five minutes for you to open \
it.

Everything in the transcript is what the program's HTTP client sent and received, or what the server wrote into its \
ledger. Codes, tokens and verifiers are masked.";

const DEMO_EXAMPLES: &str = "\
Examples:
  authflow demo                                 in your browser, as the RFCs say
  authflow demo --headless                      all three providers, one after the other
  authflow demo stackexchange --headless
  authflow demo rfc --headless --fault wrong-iss
  authflow demo --fault help                    the faults, with what each does

Exit codes: 0 if the journey came to its end, also where the flow withstood the fault; 1 with the
error that a user would get, or where the fault never showed; 3 if you denied on the consent page;
4 if nobody answered it.";

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Whose wire format the server speaks. Without it: rfc; with --headless all three
    #[arg(value_name = "PROVIDER")]
    pub(crate) provider: Option<DemoProvider>,

    /// Be your own user: approve without a browser
    #[arg(long)]
    pub(crate) headless: bool,

    /// Let the server misbehave in this way; `help` lists the names
    #[arg(long, value_name = "NAME")]
    pub(crate) fault: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DemoProvider {
    /// Stack Exchange: comma scopes, `expires`, the token in the query, no refresh
    #[value(name = "stackexchange")]
    StackExchange,
    /// Contentstack: app uid, region in the callback, revocation in three steps
    Contentstack,
    /// What the RFCs say: PKCE, `iss`, rotation, revocation
    Rfc,
}

const LOGIN_LONG: &str = "\
Connects to a provider and prints the tokens.

The provider is `stackexchange`, `contentstack`, a file (TOML or JSON) that describes one, or the endpoints given by \
options. The program listens on a loopback address, prints the authorization URL, opens your browser there, and waits for \
the callback. Over SSH, or where the browser is on another machine, open the URL there, approve, and paste the address \
that the browser ends up at after `paste:`, even if the page cannot be shown.

The tokens are printed masked; --json prints them whole, in the form that `authflow refresh` and `authflow revoke` read:
  {\"access_token\",\"token_type\",\"refresh_token\",\"expires_at\",\"scope\",\"extra\"}
`expires_at` is in seconds since 1970, \"never\", or null if the provider did not say. `extra` has the provider's own \
fields, and as \"callback.NAME\" what the callback said and later requests need.";

const LOGIN_EXAMPLES: &str = "\
Examples:
  authflow login stackexchange --client-id 12345 --key 'abc((' --site stackoverflow \\
      --scope read_inbox --scope private_info
  read -rs CS_SECRET; export CS_SECRET
  authflow login contentstack --client-id my-id --client-secret-env CS_SECRET --region eu \\
      --app-uid 64f0... --redirect-uri http://localhost:8184/callback
  authflow login ./gitea.toml --client-id my-app --no-browser --json > tokens.json
  authflow login --authorization-endpoint https://as.example/authorize \\
      --token-endpoint https://as.example/token --issuer https://as.example \\
      --client-id my-app --scope profile

A file for a provider, in TOML:
  id = \"gitea\"
  default_scopes = [\"read:user\"]
  [endpoints]
  authorization_endpoint = \"https://gitea.example/login/oauth/authorize\"
  token_endpoint = \"https://gitea.example/login/oauth/access_token\"

Exit codes: 0 connected, 1 failed, 2 usage, 3 denied by the user, 4 no callback in time.";

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    #[command(flatten)]
    pub(crate) provider: ProviderArgs,

    /// Ask for this scope instead of the provider's default ones; repeat it for more
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,

    /// Add a parameter of the provider's own to the authorization URL, such as prompt=consent; repeat it for more
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) parameters: Vec<(String, String)>,

    /// Do not open a browser: write the line `open: URL` to stderr
    #[arg(long)]
    pub(crate) no_browser: bool,

    /// How long to wait for the callback, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) timeout: u32,

    /// Print the tokens whole, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const REFRESH_LONG: &str = "\
Exchanges the refresh token for new tokens, and prints them as JSON.

It reads on stdin what `authflow login --json` printed, and takes the same provider options. It prints the JSON whole, \
with or without --json: the provider may have replaced the refresh token, and a masked one could not be used again. Write \
it to another file than the one it reads.";

const REFRESH_EXAMPLES: &str = "\
Examples:
  authflow refresh ./gitea.toml --client-id my-app < tokens.json > new.json
  authflow refresh contentstack --client-id my-id --app-uid 64f0... --region eu \\
      < tokens.json > new.json";

const REVOKE_LONG: &str = "\
Revokes the tokens at the provider.

It reads on stdin what `authflow login --json` or `authflow refresh` printed, and takes the same provider options. It \
fails if the provider has no revocation: the tokens then end by themselves, or on the provider's own pages.";

const REVOKE_EXAMPLES: &str = "\
Examples:
  authflow revoke ./gitea.toml --client-id my-app < tokens.json
  authflow revoke stackexchange --client-id 12345 --key 'abc((' --site stackoverflow < tokens.json";

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    pub(crate) provider: ProviderArgs,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which provider, and our registration there.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ProviderArgs {
    /// `stackexchange`, `contentstack`, or a file (.toml, .json) that describes a provider
    #[arg(value_name = "PROVIDER")]
    pub(crate) provider: Option<OsString>,

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

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a parameter has a name and a value, with `=` between them: prompt=consent".to_owned()),
    }
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

    #[test]
    fn parameters_keep_what_follows_the_first_equals_sign() {
        let cli = Cli::try_parse_from(["authflow", "login", "--param", "a=b=c", "--param", "d="]).unwrap();
        let Command::Login(login) = cli.command else { panic!("not login") };
        assert_eq!(login.parameters, [("a".into(), "b=c".into()), ("d".into(), String::new())]);
        assert!(Cli::try_parse_from(["authflow", "login", "--param", "novalue"]).is_err());
    }
}
