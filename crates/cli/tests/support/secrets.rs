//! What must not be in what a program of the demo shows.

/// The server's codes and tokens begin so.
const BEGINNINGS: [&str; 3] = ["at-", "rt-", "code-"];
/// A mask leaves fewer characters than this.
const SHORTEST: usize = 17;

/// The first word that looks like a code or a token of the servers. `known` are random values that are shown on purpose, such
/// as a state: now and then one of them begins like a token, and so does what is shown of its beginning.
pub(crate) fn secret_in<'a>(text: &'a str, known: &[String]) -> Option<&'a str> {
    let is_of_a_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.split(|c| !is_of_a_word(c)).filter(|word| word.len() >= SHORTEST).find(|word| {
        BEGINNINGS.iter().any(|beginning| word.starts_with(beginning))
            && !known.iter().any(|value| value.starts_with(word))
    })
}

/// The values of a URL's query.
pub(crate) fn query_values(url: &str) -> Vec<String> {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().map(|(_, value)| value.into_owned()).collect()
}
