//! What the browser remembers of a flow: its secret while it is under way, and how it ended afterwards.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use authflow_core::{Secret, check_return_to};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::cookies::{Cookies, Found, SameSite};
use crate::digest::{is_base64url, is_flow_id};

/// The most flows of one browser.
pub(crate) const MAX_FLOWS: usize = 10;
/// The most bytes of all of them in a request, names included: what is sent with them has to find room, too.
const MAX_BYTES: usize = 3584;
/// For how long an ended flow is remembered, so that a reload is answered kindly.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(600);
/// For how long beyond its end a flow is remembered, so that an expired flow is told from a foreign one.
pub(crate) const BEYOND: Duration = Duration::from_secs(3600);
/// The most bytes of a `return_to` that is kept of a flow that has ended, as it is written.
const MAX_RETURN_TO: usize = 512;
/// The same of one that is under way: [`MAX_FLOWS`] of them find room in [`MAX_BYTES`].
const MAX_RETURN_TO_PENDING: usize = 200;
/// What cannot stand in a cookie (RFC 6265 §4.1.1), and the percent sign itself.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%').add(b',').add(b';').add(b'\\');

/// A cookie of a flow.
#[derive(Debug)]
pub(crate) struct FlowCookie {
    /// Whether it was set with `SameSite=None`.
    pub(crate) is_none: bool,
    /// When the flow began, in seconds since 1970.
    pub(crate) begun_at: u64,
    pub(crate) stage: Stage,
}

/// How far the flow has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The user is on the way.
    Pending {
        /// The browser's secret: what the flow is bound to.
        secret: Secret,
        /// When it ends, in seconds since 1970.
        expires_at: u64,
        /// A hash that fits one user; empty for a sign-in.
        user_tag: String,
        /// Where the user wants to go on, for another attempt where this one fails.
        return_to: Option<String>,
    },
    /// It is connected.
    Done(Done),
    /// It came to another end.
    Ended,
}

/// How a flow ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// Whether somebody signed in by it. Else it was a user who connected.
    pub(crate) is_sign_in: bool,
    /// When, in seconds since 1970.
    pub(crate) done_at: u64,
    /// A hash that fits the provider and the place that it led to, also where that is too long to be remembered.
    pub(crate) way_tag: String,
    /// Where the application goes on.
    pub(crate) return_to: Option<String>,
    /// A hash that fits the user whose connection it is.
    pub(crate) user_tag: String,
}

impl FlowCookie {
    /// The value, such as `1lp.<secret>.<begun>.<expires>.<return_to>.<tag>`. A `return_to` that is too long is left out.
    pub(crate) fn write(&self) -> String {
        // Room for what most are, so that no half-written copy of the secret is left behind. Into a string nothing fails.
        let mut text = String::with_capacity(128);
        text.push_str(if self.is_none { "1n" } else { "1l" });
        let begun_at = self.begun_at;
        match &self.stage {
            Stage::Pending { secret, expires_at, user_tag, return_to } => {
                text.extend(["p.", secret.expose()]);
                let _ = write!(text, ".{begun_at}.{expires_at}.");
                keep(&mut text, return_to.as_deref(), MAX_RETURN_TO_PENDING);
                text.extend([".", user_tag]);
            }
            Stage::Done(Done { is_sign_in, done_at, way_tag, return_to, user_tag }) => {
                let stage = if *is_sign_in { 's' } else { 'd' };
                let _ = write!(text, "{stage}.{begun_at}.{done_at}.{way_tag}.");
                keep(&mut text, return_to.as_deref(), MAX_RETURN_TO);
                text.extend([".", user_tag]);
            }
            Stage::Ended => {
                let _ = write!(text, "e.{begun_at}");
            }
        }
        text
    }

    /// Reads what [`write`](Self::write) wrote, if it wrote it.
    pub(crate) fn read(value: &str) -> Option<Self> {
        let (head, rest) = value.split_once('.')?;
        let [b'1', same_site @ (b'l' | b'n'), stage] = head.as_bytes() else { return None };
        let is_none = *same_site == b'n';
        let (begun_at, stage) = match stage {
            b'p' => {
                let mut parts = rest.splitn(4, '.');
                let mut part = || parts.next();
                let (secret, begun_at, expires_at, rest) = (part()?, part()?, part()?, part()?);
                let (kept, user_tag) = rest.rsplit_once('.')?;
                let return_to = path(kept)?;
                if return_to.is_none() && !kept.is_empty() {
                    return None;
                }
                let is_whole = secret.len() == 43 && is_base64url(secret) && is_base64url(user_tag);
                let (begun_at, expires_at) = (number(begun_at)?, number(expires_at)?);
                if !is_whole || expires_at < begun_at {
                    return None;
                }
                let (secret, user_tag) = (Secret::new(secret), user_tag.to_owned());
                (begun_at, Stage::Pending { secret, expires_at, user_tag, return_to })
            }
            b'd' | b's' => {
                let mut parts = rest.splitn(4, '.');
                let mut part = || parts.next();
                let (begun_at, done_at, way_tag, rest) = (part()?, part()?, part()?, part()?);
                let (kept, user_tag) = rest.rsplit_once('.')?;
                let (is_sign_in, done_at) = (*stage == b's', number(done_at)?);
                let (way_tag, return_to, user_tag) = (way_tag.to_owned(), path(kept)?, user_tag.to_owned());
                (number(begun_at)?, Stage::Done(Done { is_sign_in, done_at, way_tag, return_to, user_tag }))
            }
            b'e' => (number(rest)?, Stage::Ended),
            _ => return None,
        };
        Some(Self { is_none, begun_at, stage })
    }

    /// Whether the flow is over at `now`. As with the flow itself, a clock that went back does not keep it alive.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        match self.stage {
            Stage::Pending { expires_at, .. } => {
                let lifetime = expires_at.saturating_sub(self.begun_at);
                now >= expires_at || now.saturating_add(lifetime) < self.begun_at
            }
            Stage::Done(_) | Stage::Ended => true,
        }
    }
}

/// Whether a flow that is done can say that it led there.
pub(crate) fn is_kept(return_to: &str) -> bool {
    utf8_percent_encode(return_to, UNSAFE).map(str::len).sum::<usize>() <= MAX_RETURN_TO
}

/// Writes a `return_to`; nothing for one that would be longer than `max`.
fn keep(text: &mut String, return_to: Option<&str>, max: usize) {
    let before = text.len();
    text.extend(return_to.iter().flat_map(|path| utf8_percent_encode(path, UNSAFE)));
    if text.len() - before > max {
        text.truncate(before);
    }
}

/// Reads what [`keep`] wrote. Whoever could write something else must not lead anybody away.
fn path(kept: &str) -> Option<Option<String>> {
    let path = percent_decode_str(kept).decode_utf8().ok()?;
    Some(Some(path.into_owned()).filter(|path| check_return_to(path).is_ok()))
}

/// Digits and nothing else: `parse` would take a plus sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A cookie that has to go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Leaving {
    pub(crate) name: String,
    pub(crate) same_site: SameSite,
}

/// A cookie that is about to be set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coming<'c> {
    pub(crate) name: &'c str,
    pub(crate) value: &'c str,
    pub(crate) same_site: SameSite,
}

/// Which cookies of flows have to go so that `new` finds room: what cannot be read and what is there twice; then, until there
/// is room, flows that are over, oldest first; then the oldest. How it was set, what cannot be read does not say: as `new` is.
pub(crate) fn make_room(cookies: &Cookies<'_>, prefix: &str, new: Coming<'_>, now: u64) -> Vec<Leaving> {
    let mut leaving = Vec::new();
    let mut staying = Vec::new();
    for (name, found) in cookies.iter() {
        if name == new.name || !name.strip_prefix(prefix).is_some_and(is_flow_id) {
            continue;
        }
        let read = match found {
            Found::One(value) => FlowCookie::read(value).map(|flow| (flow, name.len() + value.len())),
            Found::None | Found::Several => None,
        };
        match read {
            Some((flow, length)) => {
                staying.push((!flow.is_over(now), flow.begun_at, name, flow.is_none, length))
            }
            None => leaving.push(Leaving { name: name.to_owned(), same_site: new.same_site }),
        }
    }
    // Between two cookies stand two bytes, and one between name and value.
    let mut bytes = staying.iter().map(|(.., length)| length + 3).sum::<usize>();
    bytes += new.name.len() + new.value.len() + 3;
    let mut count = staying.len() + 1;
    // Of one second, the browser sends the oldest first (RFC 6265 §5.4): the sort keeps that order.
    staying.sort_by_key(|&(is_under_way, begun_at, ..)| (is_under_way, begun_at));
    for (_, _, name, is_none, length) in staying {
        if count <= MAX_FLOWS && bytes <= MAX_BYTES {
            break;
        }
        let same_site = if is_none { SameSite::None } else { SameSite::Lax };
        leaving.push(Leaving { name: name.to_owned(), same_site });
        count -= 1;
        bytes -= length + 3;
    }
    leaving
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;
    use http::{HeaderMap, HeaderValue};

    use super::*;

    const SECRET: &str = "0123456789012345678901234567890123456789-_A";

    fn pending(begun_at: u64, user_tag: &str) -> FlowCookie {
        let stage = Stage::Pending {
            secret: Secret::new(SECRET),
            expires_at: begun_at + 600,
            user_tag: user_tag.to_owned(),
            return_to: None,
        };
        FlowCookie { is_none: false, begun_at, stage }
    }

    /// The same, which goes on there.
    fn leading(return_to: &str) -> FlowCookie {
        let mut flow = pending(7, "");
        if let Stage::Pending { return_to: to, .. } = &mut flow.stage {
            *to = Some(return_to.to_owned());
        }
        flow
    }

    fn done(return_to: &str) -> FlowCookie {
        let (return_to, user_tag) = (Some(return_to.to_owned()), "tag".to_owned());
        let done = Done { is_sign_in: false, done_at: 9, way_tag: "way".to_owned(), return_to, user_tag };
        FlowCookie { is_none: true, begun_at: 7, stage: Stage::Done(done) }
    }

    #[test]
    fn what_is_written_is_read() {
        for cookie in [
            pending(100, "abcdefghijklmnop"),
            pending(100, ""),
            leading("/settings?tab=2,3;%20.\"#x"),
            done("/settings?tab=2,3;%20\"#x"),
            FlowCookie {
                is_none: false,
                begun_at: 3,
                stage: Stage::Done(Done {
                    is_sign_in: true,
                    done_at: 4,
                    way_tag: "way".to_owned(),
                    return_to: None,
                    user_tag: "tag".to_owned(),
                }),
            },
            FlowCookie { is_none: true, begun_at: 3, stage: Stage::Ended },
        ] {
            let value = cookie.write();
            assert!(value.bytes().all(|b| (0x21..=0x7e).contains(&b) && !b"\",;\\".contains(&b)), "{value}");
            let read = FlowCookie::read(&value).unwrap();
            assert_eq!(read.write(), value);
            assert_eq!((read.is_none, read.begun_at), (cookie.is_none, cookie.begun_at));
            let same = match (&read.stage, &cookie.stage) {
                (Stage::Done(one), Stage::Done(other)) => one == other,
                (
                    Stage::Pending { secret, expires_at, user_tag, return_to },
                    Stage::Pending { expires_at: expires, user_tag: tag, return_to: to, .. },
                ) => secret.ct_eq(SECRET) && (expires_at, user_tag, return_to) == (expires, tag, to),
                (Stage::Ended, Stage::Ended) => true,
                _ => false,
            };
            assert!(same, "{value}");
        }
    }

    #[test]
    fn a2_what_was_not_written_here_is_not_read() {
        let good = pending(100, "tag").write();
        assert!(FlowCookie::read(&good).is_some());
        assert!(FlowCookie::read(&good.replace(".700.", ".100.")).is_some_and(|flow| flow.is_over(100)));
        for bad in [
            "",
            ".",
            "1lp",
            "1lp.",
            "1le",
            "1le.",
            "1le.x",
            "1le.+1",
            "1le.1.2",
            "1ld.1",
            "1ld.1.",
            "1ld.1.2.way",
            "1ld.1.2.way.",
            "1ld.1.2.way.%ff.",
            "1ld.1.x.way..",
            "1ls.x.2.way..",
            "1ls.1..",
            "1xe.1",
            "2le.1",
            "1lz.1",
            "1lee.1",
            &good.replace("1lp", "1lq"),
            &good.replace(SECRET, &SECRET[1..]),
            &good.replace(SECRET, &SECRET.replace('0', "+")),
            &good.replace(".100.", ".-100."),
            &good.replace(".100.", ".701."),
            &good.replace(".100.", ".99999999999999999999."),
            &good.replace("..tag", ".tag"),
            &good.replace("..tag", ".%ff.tag"),
            &format!("{good}.x"),
            &format!("{good}!"),
        ] {
            assert!(FlowCookie::read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn b17_a_way_back_is_judged_again_and_bounded() {
        for foreign in ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "x"]
        {
            let value = done(foreign).write();
            let read = FlowCookie::read(&value).unwrap();
            assert!(matches!(read.stage, Stage::Done(Done { return_to: None, .. })), "{foreign}");
            assert!(FlowCookie::read(&leading(foreign).write()).is_none(), "{foreign}");
        }
        let long = format!("/{}", "a".repeat(600));
        assert_eq!(done(&long).write(), "1nd.7.9.way..tag");
        for (length, kept) in [(MAX_RETURN_TO, true), (MAX_RETURN_TO + 1, false)] {
            assert_eq!(
                (is_kept(&long[..length]), done(&long[..length]).write() != "1nd.7.9.way..tag"),
                (kept, kept)
            );
        }
        assert!(!is_kept(&format!("/{}", "%".repeat(MAX_RETURN_TO / 3 + 1))), "as it is written");
        assert_eq!(leading(&long[..MAX_RETURN_TO_PENDING + 1]).write(), pending(7, "").write());
        let just = &long[..MAX_RETURN_TO_PENDING];
        assert!(leading(just).write().contains(just), "as long as it may be");
    }

    #[test]
    fn a4_a_flow_is_over_at_its_end_and_when_the_clock_went_far_back() {
        let flow = pending(10_000, "");
        for (now, over) in [(10_000, false), (10_599, false), (10_600, true), (9_400, false), (9_399, true)] {
            assert_eq!(flow.is_over(now), over, "{now}");
        }
        assert!(done("/").is_over(0));
    }

    fn browser(cookies: &[(String, String)]) -> HeaderMap {
        let text: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let header = HeaderValue::try_from(text.join("; ")).unwrap();
        HeaderMap::from_iter([(COOKIE, header)])
    }

    fn room(browser: &HeaderMap, (name, length): (&str, usize)) -> Vec<Leaving> {
        let new = Coming { name, value: &"v".repeat(length), same_site: SameSite::None };
        make_room(&Cookies::read(browser, "x-"), "x-", new, 1_010)
    }

    fn name(number: usize) -> String {
        format!("x-{number:022}")
    }

    fn names(leaving: &[Leaving]) -> Vec<&str> {
        leaving.iter().map(|leaving| &*leaving.name).collect()
    }

    #[test]
    fn a8_the_oldest_goes_when_there_are_ten() {
        let mut cookies: Vec<_> = (0..9).map(|n| (name(n), pending(1_000 + n as u64, "").write())).collect();
        let new = (name(99), 100);
        let room = |cookies: &[(String, String)]| room(&browser(cookies), (&new.0, new.1));
        assert_eq!(room(&cookies), []);
        cookies.push((name(9), pending(999, "").write()));
        assert_eq!(names(&room(&cookies)), [name(9)], "the oldest, wherever it stands");
        cookies[3].1 = done("/x").write();
        let leaving = room(&cookies);
        assert_eq!(names(&leaving), [name(3)], "what is over goes first");
        assert_eq!(leaving[0].same_site, SameSite::None, "with the attributes that it was set with");
        cookies[3].1 = pending(1, "").write();
        assert_eq!(names(&room(&cookies)), [name(3)], "so does what has expired");
        cookies.push((name(10), pending(1_005, "").write()));
        assert_eq!(names(&room(&cookies)), [name(3), name(9)]);
    }

    #[test]
    fn a8_of_one_second_the_oldest_is_the_one_that_the_browser_sends_first() {
        let cookies: Vec<_> = (0..11).rev().map(|n| (name(n), pending(1_000, "").write())).collect();
        assert_eq!(names(&room(&browser(&cookies), (&name(99), 100))), [name(10), name(9)]);
    }

    #[test]
    fn a8_what_cannot_be_read_goes_and_what_is_not_ours_stays() {
        let cookies = [
            (name(0), "rubbish".to_owned()),
            (name(1), pending(1_000, "").write()),
            (name(1), pending(1_001, "").write()),
            ("x-form".to_owned(), "secret".to_owned()),
            (format!("x-resume-{:022}", 1), "1q.a=b".to_owned()),
            (format!("x-{:021}!", 1), "rubbish".to_owned()),
        ];
        let leaving = room(&browser(&cookies), (&name(99), 100));
        assert_eq!(names(&leaving), [name(0), name(1)]);
        assert!(leaving.iter().all(|leaving| leaving.same_site == SameSite::None), "as what is set now");
    }

    #[test]
    fn a8_all_together_stay_below_4_kib() {
        let long = format!("/{}", "a".repeat(500));
        let cookies: Vec<_> =
            (0..8).map(|n| (name(n), FlowCookie { begun_at: n as u64, ..done(&long) }.write())).collect();
        let few = browser(&cookies[..5]);
        let taken: usize = cookies[..5].iter().map(|(name, value)| name.len() + value.len() + 3).sum();
        let left = MAX_BYTES - taken - name(99).len() - 3;
        assert_eq!(room(&few, (&name(99), left)), []);
        assert_eq!(names(&room(&few, (&name(99), left + 1))), [name(0)]);
        // What leaves makes as much room as it took.
        let one_more = left + cookies[0].0.len() + cookies[0].1.len() + 3;
        assert_eq!(names(&room(&few, (&name(99), one_more))), [name(0)]);
        assert_eq!(names(&room(&few, (&name(99), one_more + 1))), [name(0), name(1)]);
        let leaving = room(&browser(&cookies), (&name(99), 512));
        let stays = cookies.len() - leaving.len();
        assert_eq!(names(&leaving), (0..leaving.len()).map(name).collect::<Vec<_>>());
        let bytes = (stays + 1) * (cookies[0].0.len() + cookies[0].1.len() + 3);
        assert!(bytes <= MAX_BYTES && bytes + 600 > MAX_BYTES, "{bytes}");
    }
}
