use super::*;
use crate::connections::contents::Ended;
use crate::scopes::Scopes;
use crate::token_store::{Incarnation, LeaseHolder};

const START: SystemTime = SystemTime::UNIX_EPOCH;
const VERSION: Version = Version::first(Incarnation::from_bytes([1; 16]));

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn policy(rotation: Rotation) -> Policy {
    let quirk = RefreshPolicy { rotation, ..RefreshPolicy::default() };
    Policy::new(&quirk, seconds(60), seconds(1000))
}

fn contents(lifetime: Option<u64>) -> Contents {
    let mut tokens = TokenSet::new("AT", START);
    tokens.refresh_token = Some("RT".into());
    tokens.expiry = lifetime.map_or(Expiry::Unknown, |lifetime| Expiry::At(START + seconds(lifetime)));
    Contents::connected(tokens, Scopes::none(), START)
}

fn at(now: u64) -> Moment {
    let now = START + seconds(now);
    Moment { now, seen_at: now, seen_for: Duration::ZERO }
}

fn step(contents: &Contents, demand: Demand, now: u64) -> Step {
    assess(contents, &VERSION, None, &policy(Rotation::Strict), 0.0, demand, at(now))
}

fn served(step: Step) -> bool {
    matches!(step, Step::Serve { .. })
}

#[test]
fn a_token_is_served_then_replaced_early_then_waited_for() {
    let contents = contents(Some(3600));
    let expected = |now| match now {
        0..3540 => "serve",
        3540..3595 => "early",
        _ => "refresh",
    };
    for now in 0..4000 {
        let step = match step(&contents, Demand::Valid, now) {
            Step::Serve { for_ } => {
                assert_eq!(for_, Some(seconds(3540 - now)));
                "serve"
            }
            Step::ServeAndRefresh => "early",
            Step::Refresh => "refresh",
            Step::Reconnect(_) => "reconnect",
        };
        assert_eq!(step, expected(now), "{now}");
    }
}

/// F19: what expires together is refreshed over half of the margin.
#[test]
fn f19_jitter_only_makes_it_earlier_and_never_before_the_last_quarter() {
    let contents = contents(Some(3600));
    let first = |jitter: f64| {
        let early = |now: &u64| {
            assess(&contents, &VERSION, None, &policy(Rotation::Strict), jitter, Demand::Valid, at(*now))
                == Step::ServeAndRefresh
        };
        (0..3600).find(early)
    };
    assert_eq!((first(0.0), first(1.0)), (Some(3540), Some(3510)));
    let short = self::contents(Some(40));
    let early = (0..40).find(|now| step(&short, Demand::Valid, *now) == Step::ServeAndRefresh);
    assert_eq!(early, Some(30), "a short token is used for three quarters of its time");
}

#[test]
fn a_token_of_unknown_end_is_served_until_it_is_refused() {
    let contents = contents(None);
    assert_eq!(step(&contents, Demand::Valid, 1_000_000), Step::Serve { for_: None });
    let refused = Demand::Newer { than: Some(VERSION), rejected: true };
    assert_eq!(step(&contents, refused, 1), Step::Refresh);
    let older =
        Demand::Newer { than: Some(Version::first(Incarnation::from_bytes([2; 16]))), rejected: true };
    assert!(served(step(&contents, older, 1)), "it was replaced already");
}

#[test]
fn what_cannot_be_refreshed_is_served_to_its_end() {
    let mut contents = contents(Some(3600));
    contents.tokens.refresh_token = None;
    assert!(served(step(&contents, Demand::Valid, 3590)));
    assert_eq!(step(&contents, Demand::Valid, 3600), Step::Reconnect(ReconnectReason::Expired));
    contents.tokens.refresh_token = Some("RT".into());
    contents.tokens.refresh_expiry = Expiry::At(START + seconds(3599));
    assert_eq!(step(&contents, Demand::Valid, 3600), Step::Reconnect(ReconnectReason::Expired));
}

#[test]
fn what_has_ended_is_served_while_its_end_is_known_and_nobody_refuses_it() {
    let ended = |lifetime| contents(lifetime).ended(Ended::new(ReconnectReason::Refused, START));
    let over = Step::Reconnect(ReconnectReason::Refused);
    // For the five seconds before its end nobody can be sure to use it.
    assert_eq!(step(&ended(Some(3600)), Demand::Valid, 1), Step::Serve { for_: Some(seconds(3594)) });
    assert_eq!(step(&ended(Some(3600)), Demand::Valid, 3600), over);
    assert_eq!(step(&ended(None), Demand::Valid, 1), over, "nobody knows how long it is good");
    assert_eq!(step(&ended(Some(3600)), Demand::Newer { than: Some(VERSION), rejected: false }, 1), over);
}

#[test]
fn an_access_token_that_refreshes_itself_does_so_before_its_end_only() {
    let policy = Policy { input: RefreshInput::AccessToken, ..policy(Rotation::None) };
    let tokens = contents(Some(3600)).tokens;
    assert!(policy.can_refresh(&tokens, START + seconds(3599)));
    assert!(!policy.can_refresh(&tokens, START + seconds(3600)));
}

#[test]
fn x17_a_clock_that_was_put_back_makes_no_token_live_longer() {
    let contents = contents(Some(3600));
    let moment = Moment { now: START - seconds(1_000_000), seen_at: START, seen_for: seconds(3600) };
    let step = assess(&contents, &VERSION, None, &policy(Rotation::Strict), 0.0, Demand::Valid, moment);
    assert_eq!(step, Step::Refresh);
}

#[test]
fn x17_a_token_that_came_by_a_clock_that_was_ahead_is_over() {
    let policy = policy(Rotation::Strict);
    let step = |ahead, (now, seen_at, seen_for)| {
        let mut contents = contents(None);
        contents.tokens.received_at = START + seconds(ahead);
        contents.tokens.expiry = Expiry::At(START + seconds(ahead + 6));
        let moment = Moment {
            now: START + seconds(now),
            seen_at: START + seconds(seen_at),
            seen_for: seconds(seen_for),
        };
        assess(&contents, &VERSION, None, &policy, 0.0, Demand::Valid, moment)
    };
    for ahead in [61, 3600, 24 * 3600, 10 * 365 * 24 * 3600] {
        assert_eq!(step(ahead, (0, 0, 0)), Step::Refresh, "{ahead}");
    }
    assert!(served(step(60, (0, 0, 0))), "no two clocks are the same");
    // Who saw it come knows how old it is, whatever the wall clock shows since.
    assert!(served(step(3600, (0, 3600, 1))));
    assert_eq!(step(3600, (0, 3600, 6)), Step::Refresh);
    // Nor is a clock that was behind when the token was first seen held against it for ever.
    assert!(served(step(3600, (3601, 0, 1))));
}

#[test]
fn r6_a_mark_holds_a_strict_refresh_back_while_the_token_is_good() {
    let contents = contents(Some(3600));
    let mark = RefreshMark::new(LeaseHolder::from_bytes([1; 16]), [0; 32], START + seconds(3550));
    let step = |rotation, now| {
        assess(&contents, &VERSION, Some(&mark), &policy(rotation), 0.0, Demand::Valid, at(now))
    };
    assert!(served(step(Rotation::Strict, 3560)));
    assert_eq!(step(Rotation::Strict, 3600), Step::Refresh);
    assert_eq!(step(Rotation::Grace(20), 3560), Step::ServeAndRefresh);
    assert_eq!(step(Rotation::Grace(20), 3569), Step::ServeAndRefresh);
    assert!(served(step(Rotation::Grace(20), 3570)), "its grace is over");
    assert_eq!(step(Rotation::None, 3560), Step::ServeAndRefresh);
}

#[test]
fn r6_the_second_refusal_of_a_rotating_provider_is_a_lost_rotation() {
    assert_eq!(reason_of_refusal(Rotation::Strict, 1), ReconnectReason::Refused);
    assert_eq!(reason_of_refusal(Rotation::Strict, 2), ReconnectReason::RotationLost);
    assert_eq!(reason_of_refusal(Rotation::Grace(30), 2), ReconnectReason::RotationLost);
    assert_eq!(reason_of_refusal(Rotation::None, 2), ReconnectReason::Refused);
}

#[test]
fn r7_what_an_error_tells_of_the_refresh_token() {
    let of_http = |delivery| Error::from(HttpError::new(crate::HttpErrorKind::Transport, delivery));
    let of_status =
        |kind, status: u16| Error::new(kind, "").with_status(http::StatusCode::from_u16(status).unwrap());
    let cases = [
        (of_http(Delivery::NotSent), Fate::NotUsed),
        (of_http(Delivery::Unknown), Fate::Unknown),
        (of_http(Delivery::Answered), Fate::Unknown),
        (of_status(ErrorKind::Unavailable, 503), Fate::NotUsed),
        (of_status(ErrorKind::Unavailable, 500), Fate::Unknown),
        (of_status(ErrorKind::Unavailable, 502), Fate::Unknown),
        (of_status(ErrorKind::RateLimited, 429), Fate::NotUsed),
        (of_status(ErrorKind::Refused, 401), Fate::NotUsed),
        (of_status(ErrorKind::InvalidResponse, 200), Fate::Unknown),
        (of_status(ErrorKind::InvalidGrant, 400), Fate::Ended),
        (Error::configuration(""), Fate::NotUsed),
        (Error::invalid_response(""), Fate::Unknown),
    ];
    for (error, expected) in cases {
        assert_eq!(fate(&error), expected, "{error:?}");
    }
}

#[test]
fn f20_cool_downs_double_up_to_a_cap_and_keep_to_retry_after() {
    let cool = CoolDown { first: seconds(1), longest: seconds(300), longest_asked: seconds(3600) };
    let after = |failures| cool.after(failures, None, 0.0);
    assert_eq!([after(1), after(2), after(3), after(9)], [1, 2, 4, 256].map(seconds));
    assert_eq!([after(10), after(u32::MAX)], [300, 300].map(seconds));
    assert_eq!(cool.after(1, Some(seconds(120)), 1.0), seconds(120));
    assert_eq!(cool.after(1, Some(seconds(1_000_000)), 0.5), seconds(3600));
    assert_eq!(cool.after(3, None, 1.0), seconds(3));
}

#[test]
fn a_connection_is_due_before_its_refresh_token_lapses() {
    let mut contents = contents(Some(3600));
    let due = |contents: &Contents| due_at(contents, &policy(Rotation::Strict));
    assert_eq!(due(&contents), Some(START + seconds(1000)));
    contents.tokens.refresh_expiry = Expiry::At(START + seconds(900));
    assert_eq!(due(&contents), Some(START + seconds(600)));
    assert_eq!(step(&contents, Demand::Due, 599), Step::Serve { for_: None });
    assert_eq!(step(&contents, Demand::Due, 600), Step::ServeAndRefresh);
    contents.tokens.refresh_expiry = Expiry::Never;
    assert_eq!(due(&contents), None);
    contents.tokens.refresh_token = None;
    assert_eq!(due(&contents), None);
}

#[test]
fn f7_a_subject_that_changed_is_seen_in_the_id_token() {
    use base64::Engine as _;
    let with = |sub: &str| {
        let payload = format!(r#"{{"sub":"{sub}"}}"#);
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(payload);
        let mut tokens = TokenSet::new("AT", START);
        tokens.id_token = Some(format!("e30.{payload}.c2ln").into());
        tokens
    };
    assert!(is_other_account(&with("1"), &with("2")));
    assert!(!is_other_account(&with("1"), &with("1")));
    assert!(!is_other_account(&with("1"), &TokenSet::new("AT", START)));
}

/// F13: a store that lost a write does not lose the tokens that came of it.
#[test]
fn f13_r3_new_tokens_are_saved_over_what_is_older_and_over_nothing_else() {
    let version = |counter| Version::new(Incarnation::from_bytes([1; 16]), counter);
    let of = |stored, is_same_grant| conflict(&version(5), &version(stored), is_same_grant);
    assert_eq!((of(4, false), of(1, true)), (Conflict::SaveOver, Conflict::SaveOver));
    assert_eq!(of(6, true), Conflict::SaveOver, "sealed anew, or given up by another process");
    assert_eq!((of(5, false), of(6, false)), (Conflict::Superseded, Conflict::Superseded));
    let other = Version::first(Incarnation::from_bytes([2; 16]));
    for is_same_grant in [true, false] {
        assert_eq!(conflict(&version(5), &other, is_same_grant), Conflict::Superseded, "another connect");
    }
}

#[test]
fn x34_within_a_connect_versions_grow_and_have_one_content() {
    let version = |counter| Version::new(Incarnation::from_bytes([1; 16]), counter);
    let tokens = |access: &str, refresh: Option<&str>| {
        let mut tokens = TokenSet::new(access, START);
        tokens.refresh_token = refresh.map(Into::into);
        tokens
    };
    let before = (&version(5), &tokens("AT", Some("RT")));
    let after = |counter, access, refresh| can_follow(before, (&version(counter), &tokens(access, refresh)));
    assert!(after(5, "AT", Some("RT")) && after(6, "AT", Some("RT")) && after(6, "other", None));
    assert!(!after(4, "AT", Some("RT")));
    assert!(!after(5, "other", Some("RT")) && !after(5, "AT", Some("other")) && !after(5, "AT", None));
    assert!(can_follow(before, (&Version::first(Incarnation::from_bytes([2; 16])), before.1)));
}

#[test]
fn r6_the_mark_stays_while_a_refresh_token_is_in_doubt() {
    assert!(stays_in_doubt(Fate::Unknown, 1) && stays_in_doubt(Fate::NotUsed, 2));
    assert!(!stays_in_doubt(Fate::NotUsed, 1));
    let hash = [7; 32];
    let mark = RefreshMark::new(LeaseHolder::from_bytes([1; 16]), hash, START).attempt(3);
    let after = |found, hash| mark_after(found, LeaseHolder::from_bytes([2; 16]), hash, START + seconds(9));
    assert_eq!((after(None, hash).attempt, after(Some(&mark), hash).attempt), (1, 4));
    assert_eq!(after(Some(&mark), [8; 32]).attempt, 1, "the mark is of another refresh token");
    assert_eq!(after(Some(&mark), hash).started_at, START, "it may have been used up then");
    assert_eq!(after(Some(&mark), [8; 32]).started_at, START + seconds(9));
    let ahead = RefreshMark::new(mark.holder, hash, START + seconds(100));
    assert_eq!(after(Some(&ahead), hash).started_at, START + seconds(9), "another's clock was ahead");
    let own = RefreshMark::new(LeaseHolder::from_bytes([2; 16]), hash, START + seconds(5));
    let again = after(Some(&own), hash);
    assert_eq!((again.attempt, again.started_at), (2, own.started_at), "a first call's answer was lost");
    let unsent = |before| Unsent { holder: own.holder, before };
    let counts = |found: &RefreshMark, unsent| mark_that_counts(Some(found.clone()), Some(&unsent));
    assert_eq!(
        (counts(&own, unsent(None)), counts(&own, unsent(Some(mark.clone())))),
        (None, Some(mark.clone()))
    );
    assert_eq!(
        (counts(&mark, unsent(None)), mark_that_counts(None, Some(&unsent(None)))),
        (Some(mark.clone()), None)
    );
    assert_eq!((attempts(&own, None), attempts(&own, Some(&own)), attempts(&own, Some(&mark))), (1, 1, 3));
    let elsewhere = RefreshMark::new(LeaseHolder::from_bytes([1; 16]), [8; 32], START);
    assert_eq!(attempts(&own, Some(&elsewhere)), 1);
}
