//! Scopes as a list.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use authflow_core::Scopes;

#[test]
fn scopes_are_a_list_in_which_each_occurs_once() {
    let scopes: Scopes = ["b", "a", "", "b"].into_iter().collect();
    assert_eq!(scopes.iter().collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!((scopes.len(), scopes.is_empty()), (2, false));
    assert!(scopes.contains("a") && !scopes.contains("A") && !scopes.contains(""));
    assert_eq!(scopes.join(", "), "b, a");

    let more = Scopes::new(["c", "a"]);
    assert_eq!(scopes.union(&more).iter().collect::<Vec<_>>(), ["b", "a", "c"]);
    assert_eq!(scopes.missing_from(&more), Scopes::new(["b"]));

    for none in [Scopes::none(), Scopes::default(), Scopes::new([""]), [""; 0].into_iter().collect()] {
        assert_eq!((none.len(), none.is_empty()), (0, true));
        assert_eq!(none, Scopes::none());
        assert_eq!(none.join(" "), "");
    }
}

/// A stranger's list may be long: comparing each with each would take an hour for this one.
#[test]
fn c3_many_scopes_each_occur_once_too() {
    let text =
        |numbers: std::ops::Range<u32>| numbers.map(|n| format!("{n:x}")).collect::<Vec<_>>().join(" ");
    for (count, length) in [(23, 23), (24, 24), (25, 25), (26, 26), (1_000_000, 1_000_000)] {
        let scopes = Scopes::split(&format!("{0} 0 {0} 1", text(0..count)), " ");
        assert_eq!(scopes.len(), length);
        assert_eq!(scopes.join(" "), text(0..count));
    }
}

#[test]
fn scopes_are_split_at_spaces_and_at_the_providers_delimiter() {
    for (text, delimiter, expected) in [
        ("a b", " ", &["a", "b"][..]),
        ("ab c", "", &["ab", "c"]),
        ("a,b", " ", &["a,b"]),
        ("a,b c", ",", &["a", "b", "c"]),
        (" ,a,, b ", ",", &["a", "b"]),
        ("", ",", &[]),
    ] {
        assert_eq!(
            Scopes::split(text, delimiter).iter().collect::<Vec<_>>(),
            expected,
            "{text:?} {delimiter:?}"
        );
    }
}
