//! The longer texts of the help.

pub(super) const ABOUT: &str =
    "Connects to OAuth 2.0 providers from the terminal, keeps the connections, and shows how a flow happens";

pub(super) const LONG_ABOUT: &str = "\
Connects to OAuth 2.0 providers from the terminal, keeps the connections, and shows how a flow happens.

`authflow demo` needs nothing: it plays all sides on this machine and explains each message. `authflow login` connects you \
to a real provider and keeps the connection, sealed, under a name. From then on `authflow token NAME` prints an access \
token that is valid, whoever else asks at the same time: it is refreshed once.";

pub(super) const EXAMPLES: &str = "\
Examples:
  authflow demo
  authflow demo contentstack --fault invalid-grant --headless
  authflow providers
  authflow login stackexchange --client-id 12345 --key 'abc((' --site stackoverflow
  authflow login ./gitea.toml --client-id my-app --name work
  authflow request work GET https://gitea.example/api/v1/user
  authflow token work | sed 's/^/Authorization: Bearer /' \\
      | curl -H @- https://gitea.example/api/v1/user
  authflow status
  authflow logout work

Exit codes: 0 done; 1 failed, such as where a store does not answer or refuses user, password or
database; 2 the command line or the environment cannot be used; 3 denied by the user; 4 timed out.
Results go to stdout, everything else to stderr.

Environment:
  AUTHFLOW_HOME   where everything is kept; default: the platform's configuration directory
  AUTHFLOW_STORE  another store than the files there; see `authflow login --help`
  AUTHFLOW_KEYS   the keys that seal what is kept; see `authflow login --help`";

pub(super) const DEMO_LONG: &str = "\
Shows what OAuth 2.0 does, against authorization servers on this machine.

Nothing leaves the machine, but what is meant for a server of yours, and nothing has to be registered. Three servers are started: one speaks as the RFCs say, one as \
Stack Exchange, one as Contentstack. The program is an application with connected accounts: it serves a page on a free port \
of 127.0.0.1, writes the line `open: URL` to stderr and opens your browser there. Connect an account, and read beside it \
each message between browser, application, server and API; watch the access token run down and be refreshed; switch a fault \
on; disconnect. It goes on until Ctrl-C, and keeps nothing. Where there is no browser, open the address elsewhere on this \
machine.

A server of yours can be beside them. Describe it as `authflow login` has it, by a file or by its endpoints, with the client \
id of your registration there, and register the redirect URI http://127.0.0.1:PORT/accounts/own/callback: without a port, \
where the provider takes any port of 127.0.0.1 (RFC 8252 section 7.3), else with the port that --redirect-uri then has too. It \
gets a card, and what the application and it say to each other is shown. What it says to the browser is not, and faults are for \
the demo's own servers. *Call the API* asks the userinfo_endpoint that a file names; without one it is not offered.

With --headless there is no page: the program is its own user, goes through one whole flow of each provider, writes a \
transcript to stdout and ends by itself.

What is shown is what the program's HTTP client sent and received, what its own pages answered, and what the servers wrote \
into their ledgers. Codes, tokens, verifiers and keys are masked, and on the page states too. The transcript of --headless \
shows the state: it is a part of the address that the user opens, and of no use to anyone after the callback.";

pub(super) const DEMO_EXAMPLES: &str = "\
Examples:
  authflow demo                                 the page, with all three providers
  authflow demo stackexchange                   the page, with this one
  authflow demo ./gitea.toml --client-id my-app the page, with a server of yours beside the three
  authflow demo --fault unavailable             the page; the servers misbehave from the beginning
  authflow demo --flow-lifetime 5               the page; who takes longer to approve is late
  authflow demo --headless                      a transcript of all three, one after the other
  authflow demo rfc --headless --fault wrong-iss
  authflow demo --fault help                    the faults, with what each does

Exit codes: 0 when the page is ended with Ctrl-C; with --headless 0 if the journey came to its end,
also where the flow withstood the fault, and 1 with the error that a user would get, or where the
fault never showed; 2 usage, such as options that exclude each other.";

pub(super) const LOGIN_LONG: &str = "\
Connects to a provider, and keeps the connection under a name.

The provider is `stackexchange`, `contentstack`, a file (TOML or JSON) that describes one, or the endpoints given by \
options. The program listens on a loopback address, prints the authorization URL, opens your browser there, and waits for \
the callback. Over SSH, or where the browser is on another machine, open the URL there, approve, and paste the address \
that the browser ends up at after `paste:`, even if the page cannot be shown. Lines of stdin are read for that as long as it \
waits: in scripts and in the background give it `< /dev/null`.

What is kept under the name, sealed, is the tokens and what is needed to renew them: the provider's options and the client \
secret. `authflow login --name NAME` without a provider connects again with what is kept. --no-save keeps nothing.

The tokens are printed masked; --json prints them whole, in the form that `authflow refresh` and `authflow revoke` read:
  {\"access_token\",\"token_type\",\"refresh_token\",\"expires_at\",\"scope\",\"extra\"}
`expires_at` is in seconds since 1970, \"never\", or null if the provider did not say. `extra` has the provider's own \
fields, and as \"callback.NAME\" what the callback said and later requests need. A refresh token that was printed and is \
kept as well has two owners, and many providers end a connection whose refresh token comes twice: use the printed one with \
--no-save only.

Where it is kept: in files under AUTHFLOW_HOME, whose directory nobody else may use (mode 0700); or in the store of --store \
or AUTHFLOW_STORE: redis://, rediss://, postgres://, mysql://, sqlite:PATH. Every process with the same store and the same \
keys has the same connections. The keys: AUTHFLOW_KEYS if it is set (ID:KEY,ID:KEY; 32 bytes in base64, the first one \
writes); else the operating system's keyring, where this build and this session have one; else the file `keys` under \
AUTHFLOW_HOME, made at the first login, mode 0600. Whoever loses the keys loses what they sealed.";

pub(super) const LOGIN_EXAMPLES: &str = "\
Examples:
  authflow login stackexchange --client-id 12345 --key 'abc((' --site stackoverflow \\
      --scope read_inbox --scope private_info
  read -rs CS_SECRET; export CS_SECRET
  authflow login contentstack --client-id my-id --client-secret-env CS_SECRET --region eu \\
      --app-uid 64f0... --redirect-uri http://localhost:8184/callback
  authflow login ./gitea.toml --client-id my-app --name work
  authflow login --name work
  (umask 077; authflow login ./gitea.toml --client-id my-app --no-save --json > tokens.json)
  authflow login --authorization-endpoint https://as.example/authorize \\
      --token-endpoint https://as.example/token --issuer https://as.example \\
      --api-origin https://api.example --client-id my-app --scope profile

A file for a provider, in TOML:
  id = \"gitea\"
  default_scopes = [\"read:user\"]
  [endpoints]
  authorization_endpoint = \"https://gitea.example/login/oauth/authorize\"
  token_endpoint = \"https://gitea.example/login/oauth/access_token\"
  api_origins = [\"https://gitea.example\"]

Exit codes: 0 connected, 1 failed, 2 usage, 3 denied by the user, 4 no callback in time.";

pub(super) const REFRESH_LONG: &str = "\
Exchanges the refresh token for new tokens, and prints them as JSON.

It reads on stdin what `authflow login --json` printed, and takes the same provider options. It prints the JSON whole, \
with or without --json: the provider may have replaced the refresh token, and a masked one could not be used again. Write \
it to another file than the one it reads.";

pub(super) const REFRESH_EXAMPLES: &str = "\
Examples:
  (umask 077; authflow refresh ./gitea.toml --client-id my-app < tokens.json > new.json)
  (umask 077; authflow refresh contentstack --client-id my-id --app-uid 64f0... --region eu \\
      < tokens.json > new.json)";

pub(super) const REVOKE_LONG: &str = "\
Revokes the tokens at the provider.

It reads on stdin what `authflow login --json` or `authflow refresh` printed, and takes the same provider options. It \
fails if the provider has no revocation: the tokens then end by themselves, or on the provider's own pages.";

pub(super) const REVOKE_EXAMPLES: &str = "\
Examples:
  authflow revoke ./gitea.toml --client-id my-app < tokens.json
  authflow revoke stackexchange --client-id 12345 --key 'abc((' --site stackoverflow < tokens.json";

pub(super) const TOKEN_LONG: &str = "\
Prints an access token that is valid now, and nothing else.

A token that has ended is refreshed first. However many processes ask at the same time, on this machine or on others with \
the same store, the refresh token is sent once and all get the new access token. One that is near its end is printed and \
replaced at once.

`authflow request` sends a request with it. Where another program is to, hand it on by a pipe: everyone on this machine can \
read a command line.";

pub(super) const TOKEN_EXAMPLES: &str = "\
Examples:
  authflow request work GET https://gitea.example/api/v1/user
  authflow token work | sed 's/^/Authorization: Bearer /' \\
      | curl -H @- https://gitea.example/api/v1/user
  authflow token work --store redis://127.0.0.1

Exit codes: 0 printed; 1 failed, and stderr says whether to try again or to log in again, also where
the token was printed and the store did not take what came with it; 2 usage, such as a name that
nothing is kept under.";

pub(super) const STATUS_LONG: &str = "\
Shows what is kept: the names, the providers and accounts, until when the access tokens are good, and whether the \
connections work as far as is known. No request is sent, and no token is shown.

--json prints one object: {\"connections\": [{\"name\",\"provider\",\"account\",\"health\",\"reason\",\"connected_at\",\
\"refreshed_at\",\"expires_at\",\"scope\",\"missing_scope\",\"paused_until\"}]}. Times are in seconds since 1970. `health` is good (no \
refresh was refused for good; whether the last one worked is not told, and `authflow token` finds out), in_doubt (a \
refresh was begun and nobody wrote how it ended), needs_reconnect, not_connected or unreadable. `paused_until` is there \
where the provider said that it wants to be left alone, or could not answer: until then it is not asked for a refresh.";

pub(super) const STATUS_EXAMPLES: &str = "\
Exit codes: 0 shown, 1 something that is kept could not be read, 2 usage.";

pub(super) const REQUEST_LONG: &str = "\
Sends an API request with the connection's access token, in the provider's way, and prints the body of the answer.

The token goes to the provider's API origins and nowhere else. If the API answers 401 the token is refreshed, and the \
request sent once more where its method is idempotent, or --replayable says that it may be. Redirects are not followed. The \
status is written to stderr.";

pub(super) const REQUEST_EXAMPLES: &str = "\
Examples:
  authflow request work GET https://gitea.example/api/v1/user
  echo '{\"title\":\"a\"}' | authflow request work POST https://gitea.example/api/v1/repos/a/b/issues \\
      --header 'Content-Type: application/json' --body -

Exit codes: 0 for a status of 200 to 299, 1 for any other and where no answer came, 2 usage.";

pub(super) const LOGOUT_LONG: &str = "\
Ends connections: has the provider revoke the tokens, and forgets all that is kept under the name. What came of each step \
is printed.

From the first step on, no refresh that is under way anywhere writes anything. Where the provider cannot be asked, the \
connection is forgotten all the same, and the command fails: end it on the provider's own pages then. --forget does not ask \
the provider, and forgets also what cannot be read because its keys are lost or it is damaged.";

pub(super) const LOGOUT_EXAMPLES: &str = "\
Examples:
  authflow logout work
  authflow logout --all

Exit codes: 0 revoked, or there was nothing to revoke, and forgotten, also where the provider has no
revocation or not for both tokens, and what it does not revoke stays in force until it ends by
itself, which is printed; 1 a step failed; 2 usage.";

pub(super) const SWEEP_LONG: &str = "\
Refreshes the connections that are due, so that the refresh tokens of those that nobody uses do not lapse.

A connection is due seven days after its tokens were last renewed, or sooner where its refresh token ends sooner. To be run \
now and then, by a timer or with --every; several machines with one store may run it at the same time. *Done* is also what \
another process refreshed meanwhile.

Where there are several keys, it seals anew, with the first of them, what another one has sealed, and says how many records are \
left; when there are none, the other keys can be removed.";

pub(super) const SWEEP_EXAMPLES: &str = "\
Examples:
  authflow sweep
  authflow sweep --every 3600

Exit codes: 0 all that was due is refreshed, or needs its user to log in again, which stderr tells;
1 something failed and is tried again by the next sweep, or is not sealed with the first key yet;
2 usage.";
