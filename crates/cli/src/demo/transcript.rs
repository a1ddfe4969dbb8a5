//! How a transcript looks.

use authflow_testkit::{Entry, IssuedKind, Outcome};

use super::explain;
use super::recorder::{Recorded, masked_path};
use crate::failure::Failure;
use crate::terminal::{Style, WIDTH, printable, result, shortened, wrapped};

const INDENT: usize = 4;
const NAME: usize = 21;
const VALUE: usize = 26;

/// Writes the transcript to stdout, line by line, as things happen.
#[derive(Debug)]
pub(super) struct Transcript {
    style: Style,
    steps: usize,
}

impl Transcript {
    pub(super) fn new() -> Self {
        Self { style: Style::of_stdout(), steps: 0 }
    }

    pub(super) fn title(&self, text: &str) -> Result<(), Failure> {
        result(self.style.strong(text))?;
        result(self.style.strong(&"=".repeat(text.chars().count())))
    }

    /// A numbered step, and where it is written.
    pub(super) fn step(&mut self, title: &str, reference: &str) -> Result<(), Failure> {
        self.steps += 1;
        let heading = format!("{:>2}  {title}", self.steps);
        let space = WIDTH.saturating_sub(heading.chars().count() + reference.chars().count()).max(2);
        result("")?;
        if reference.is_empty() {
            return result(self.style.strong(&heading));
        }
        result(format_args!(
            "{}{}{}",
            self.style.strong(&heading),
            " ".repeat(space),
            self.style.faint(reference)
        ))
    }

    /// Words about what comes.
    pub(super) fn text(&self, text: &str) -> Result<(), Failure> {
        self.paragraph(text, |line| line.to_owned())
    }

    pub(super) fn good(&self, text: &str) -> Result<(), Failure> {
        self.paragraph(text, |line| self.style.good(line))
    }

    pub(super) fn bad(&self, text: &str) -> Result<(), Failure> {
        self.paragraph(text, |line| self.style.bad(line))
    }

    /// A line that keeps its own indentation, wrapped below itself.
    pub(super) fn bad_line(&self, line: &str) -> Result<(), Failure> {
        let own = line.len() - line.trim_start().len();
        for line in wrapped(line, WIDTH - INDENT - own - 2) {
            result(format_args!("{:1$}{2}", "", INDENT + 2 + own, self.style.bad(&line)))?;
        }
        Ok(())
    }

    fn paragraph(&self, text: &str, paint: impl Fn(&str) -> String) -> Result<(), Failure> {
        for line in wrapped(text, WIDTH - INDENT) {
            result(format_args!("{:INDENT$}{}", "", paint(&line)))?;
        }
        Ok(())
    }

    /// A line that must stay one, to be copied.
    pub(super) fn whole(&self, line: &str) -> Result<(), Failure> {
        result(format_args!("{:INDENT$}{line}", ""))
    }

    /// Names, values, and what they are for.
    pub(super) fn table(
        &self,
        rows: impl IntoIterator<Item = (String, String, &'static str)>,
    ) -> Result<(), Failure> {
        let remark_width = WIDTH - INDENT - 2 - NAME - VALUE - 4;
        for (name, value, remark) in rows {
            let name = format!("{:<NAME$}", shortened(&name, NAME));
            // A value without a remark has the room of both.
            let width = if remark.is_empty() { VALUE + remark_width } else { VALUE };
            let value = format!("{:<VALUE$}", shortened(&value, width));
            let mut lines = wrapped(remark, remark_width).into_iter();
            let first = self.style.faint(&lines.next().unwrap_or_default());
            let line = format!("{:INDENT$}  {name}  {value}  {first}", "");
            result(line.trim_end())?;
            for line in lines {
                result(format_args!("{:1$}{2}", "", INDENT + 2 + NAME + VALUE + 4, self.style.faint(&line)))?;
            }
        }
        Ok(())
    }

    /// What the client sent and got.
    pub(super) fn client(&self, recorded: &Recorded) -> Result<(), Failure> {
        self.line("client", &format!("{} {}", recorded.method, recorded.place))?;
        self.table(recorded.carried.iter().map(|carried| {
            let remark = explain::request(&carried.name);
            let name = if carried.is_header { format!("{}:", carried.name) } else { carried.name.clone() };
            (name, carried.value.clone(), remark)
        }))?;
        let took = format!("{:.1} ms", recorded.took.as_secs_f64() * 1000.0);
        let answer = match &recorded.answer {
            Ok(answer) => {
                let media_type = answer.media_type.as_deref().unwrap_or("no content type");
                format!(
                    "got {} {}: {media_type}, {} bytes, {took}",
                    answer.status, answer.reason, answer.length
                )
            }
            Err(error) => format!("got no usable answer after {took}: {}", printable(error)),
        };
        self.line("client", &answer)
    }

    /// What the server wrote into its ledger.
    pub(super) fn server(&self, entry: &Entry) -> Result<(), Failure> {
        let mut line = format!(
            "{} {} {}: {}",
            entry.method(),
            masked_path(entry.path()),
            entry.status(),
            outcome(entry.outcome())
        );
        let who: Vec<String> = [("client", entry.client()), ("user", entry.subject())]
            .into_iter()
            .filter_map(|(what, who)| Some(format!("{what} {}", printable(who?))))
            .collect();
        if !who.is_empty() {
            line.push_str(&format!(" ({})", who.join(", ")));
        }
        let issued: Vec<&str> = entry.issued().iter().map(|issued| kind(issued.kind())).collect();
        if !issued.is_empty() {
            line.push_str(&format!("; issued {}", issued.join(" and ")));
        }
        self.line("server", &line)?;
        if let Some(fault) = entry.fault() {
            self.bad(&format!("server  fault {fault}: {}", fault.about()))?;
        }
        Ok(())
    }

    fn line(&self, who: &str, what: &str) -> Result<(), Failure> {
        let mut lines = wrapped(what, WIDTH - INDENT - 8).into_iter();
        let first = lines.next().unwrap_or_default();
        result(format_args!("{:INDENT$}{}  {first}", "", self.style.strong(who)))?;
        for line in lines {
            result(format_args!("{:1$}{line}", "", INDENT + 8))?;
        }
        Ok(())
    }
}

/// What the server did, in words.
pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::ConsentShown => "showed the consent page".to_owned(),
        Outcome::CodeIssued => "approved, and sent back with a code".to_owned(),
        Outcome::Denied => "denied".to_owned(),
        Outcome::CodeRedeemed => "the code became tokens".to_owned(),
        Outcome::CodeReused => "the code came a second time; its tokens are revoked".to_owned(),
        Outcome::RefreshUsed => "the refresh token became new tokens".to_owned(),
        Outcome::RefreshGrace => "a replaced refresh token, accepted within the grace time".to_owned(),
        Outcome::RefreshReused => "a replaced refresh token came again; its family is revoked".to_owned(),
        Outcome::ClientCredentialsIssued => "the client got a token for itself".to_owned(),
        Outcome::Revoked => "revoked".to_owned(),
        Outcome::NothingToRevoke => "there was nothing to revoke".to_owned(),
        Outcome::Served => "served".to_owned(),
        Outcome::Refused { error, reason } => {
            format!("refused, {} ({})", printable(error), shortened(&printable(reason), 60))
        }
        Outcome::Faulted => "nothing was done, the fault answered".to_owned(),
        other => format!("{other:?}"),
    }
}

/// What it issued, in words.
pub(super) const fn kind(kind: IssuedKind) -> &'static str {
    match kind {
        IssuedKind::Code => "a code",
        IssuedKind::AccessToken => "an access token",
        IssuedKind::RefreshToken => "a refresh token",
        _ => "something",
    }
}
