//! The command line.

use crate::rows;

pub(crate) const HELP: &str = "\
Prints authflow's figures beside the same work by hand (the floor) and beside the `oauth2` crate, as a
Markdown table. Progress goes to stderr.

Usage: cargo xtask bench [OPTIONS]

  --only NAME   one row, repeatable: steps, begin, whole, store, pending, redis, web, at-expiry,
                before-expiry, unavailable, processes, valid, million, together, tree
  --quick       fewer and shorter rounds: a look, not a figure
  --once        one round, as short as it goes: no figure, but whether each row comes to its end
  --build       also clean release builds beside bare reqwest and rustls; takes minutes
  --help        this text

Times are CPU times of the calling thread alone, or of the build's processes, or wall times where it says
so. In `web` each application is a process of its own, and what counts is the CPU time of that process: neither
the client's nor the token endpoint's nor Redis's. The contenders take turns; a ratio is the median over the
rounds of (contender / floor in that round), with the least and the most. `redis` and `web` need redis-server in
PATH; `tree` and `build` need cargo. `processes` and `million` leave out what is not installed of redis-server
and PostgreSQL. `million` takes two minutes, `together` three and a half.
";

pub(crate) enum Request {
    Help,
    Measure(Settings),
    ServeTokens,
    ServeRefreshes,
    ServeWeb([String; 3]),
    AskTogether([String; 2]),
    HoldConnections([String; 3]),
    HoldPending(String),
    Expire,
}

#[derive(Default)]
pub(crate) struct Settings {
    only: Vec<String>,
    length: Length,
    build: bool,
}

/// How long it may take.
#[derive(Clone, Copy, Default, PartialEq)]
enum Length {
    #[default]
    Full,
    Quick,
    Once,
}

impl Settings {
    pub(crate) fn wants(&self, row: &str) -> bool {
        let asked = self.only.iter().any(|name| name == row);
        if row == "build" { self.build || asked } else { self.only.is_empty() || asked }
    }

    /// Whether this is a look, and no figure.
    pub(crate) fn is_quick(&self) -> bool {
        self.length != Length::Full
    }

    pub(crate) fn is_once(&self) -> bool {
        self.length == Length::Once
    }

    pub(crate) fn rounds(&self) -> usize {
        match self.length {
            Length::Full => 15,
            Length::Quick => 5,
            Length::Once => 1,
        }
    }

    /// How often a round repeats its work.
    pub(crate) fn times(&self, full: u32) -> u32 {
        match self.length {
            Length::Full => full,
            Length::Quick => (full / 8).max(64),
            Length::Once => 64,
        }
    }
}

impl Request {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut settings = Settings::default();
        let mut rest = arguments.iter().map(String::as_str);
        while let Some(argument) = rest.next() {
            match argument {
                "--help" | "-h" => return Ok(Self::Help),
                "--quick" => settings.length = Length::Quick,
                "--once" => settings.length = Length::Once,
                "--build" => settings.build = true,
                "--only" => match rest.next() {
                    Some(name) if rows::ALL.iter().any(|(known, _)| *known == name) => {
                        settings.only.push(name.to_owned());
                    }
                    _ => return Err("--only needs the name of a row".to_owned()),
                },
                // What this program starts as its own child.
                "serve-tokens" => return Ok(Self::ServeTokens),
                "hold-pending" => return Ok(Self::HoldPending(rest.next().unwrap_or_default().to_owned())),
                "serve-refreshes" => return Ok(Self::ServeRefreshes),
                "serve-web" => return Ok(Self::ServeWeb(values(rest))),
                "ask-together" => return Ok(Self::AskTogether(values(rest))),
                "hold-connections" => return Ok(Self::HoldConnections(values(rest))),
                "expire" => return Ok(Self::Expire),
                unknown => return Err(format!("unknown argument `{unknown}`")),
            }
        }
        Ok(Self::Measure(settings))
    }
}

fn values<'a, const N: usize>(mut rest: impl Iterator<Item = &'a str>) -> [String; N] {
    std::array::from_fn(|_| rest.next().unwrap_or_default().to_owned())
}
