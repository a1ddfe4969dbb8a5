//! The pages that people see. No script, nothing from elsewhere, everything escaped.

use http::StatusCode;
use url::Url;

use super::reply::Reply;

/// What the consent page asks.
pub(super) struct Question<'a> {
    pub(super) action: &'a str,
    pub(super) client: &'a str,
    pub(super) subject: &'a str,
    pub(super) scope: &'a [String],
    pub(super) redirect_uri: &'a str,
    pub(super) ticket: &'a str,
}

const STYLE: &str = include_str!("page.css");

pub(super) fn consent(question: &Question<'_>) -> Reply {
    let client = escape(question.client);
    let scope = if question.scope.is_empty() {
        "<p>It asks only to know who you are.</p>".to_owned()
    } else {
        let items: Vec<String> =
            question.scope.iter().map(|scope| format!("<li><code>{}</code></li>", escape(scope))).collect();
        format!("<p id=\"asks\">It asks for:</p><ul aria-labelledby=\"asks\">{}</ul>", items.concat())
    };
    let body = format!(
        "<h1>Connect <strong>{client}</strong>?</h1>\
         <p>You are signed in as <strong>{subject}</strong>. This application wants to use your account.</p>\
         {scope}\
         <p>Afterwards you return to <strong>{target}</strong>.</p>\
         <form method=\"post\" action=\"{action}\">\
         <input type=\"hidden\" name=\"ticket\" value=\"{ticket}\">\
         <button type=\"submit\" name=\"decision\" value=\"approve\" class=\"approve\">Approve</button>\
         <button type=\"submit\" name=\"decision\" value=\"deny\">Deny</button>\
         </form>\
         <footer>A test server. It knows no passwords and keeps nothing.</footer>",
        subject = escape(question.subject),
        target = escape(&target(question.redirect_uri)),
        action = escape(question.action),
        ticket = escape(question.ticket),
    );
    Reply::html(StatusCode::OK, document(&format!("Connect {client}?"), &body))
}

pub(super) fn error(code: &str, reason: &str) -> String {
    let body = format!(
        "<h1>This request cannot be answered</h1><p>{}.</p><p><code>{}</code></p>\
         <footer>Nothing was sent to the application.</footer>",
        escape(reason),
        escape(code)
    );
    document("Request refused", &body)
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>{body}</main>\n</body>\n</html>\n"
    )
}

/// Where the browser goes, without what could mislead: the origin, or the scheme of an application's own.
fn target(redirect_uri: &str) -> String {
    let Ok(url) = Url::parse(redirect_uri) else { return redirect_uri.to_owned() };
    let origin = url.origin();
    if origin.is_tuple() { origin.ascii_serialization() } else { format!("{}:", url.scheme()) }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
