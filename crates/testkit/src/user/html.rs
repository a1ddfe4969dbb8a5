//! As much HTML as a user needs: forms, their fields and buttons, and links.

#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) forms: Vec<Form>,
    pub(super) links: Vec<Link>,
}

#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) action: String,
    pub(super) posts: bool,
    pub(super) fields: Vec<Field>,
    pub(super) buttons: Vec<Button>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Debug)]
pub(super) struct Button {
    pub(super) name: String,
    pub(super) value: String,
    text: String,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) href: String,
    pub(super) text: String,
}

impl Button {
    pub(super) fn says_no(&self) -> bool {
        says_no(&self.value) || says_no(&self.text)
    }
}

/// Whether a label means a refusal.
pub(super) fn says_no(label: &str) -> bool {
    let label = label.to_ascii_lowercase();
    ["deny", "cancel", "decline", "reject", "abort"].iter().any(|word| label.contains(word))
}

impl Document {
    /// Reads tags one after the other, without building a tree. What is broken is skipped.
    pub(super) fn read(html: &str) -> Self {
        let mut document = Self::default();
        let mut open = false;
        let mut rest = html;
        while let Some((tag, after)) = next_tag(rest) {
            rest = after;
            match tag.name.as_str() {
                "form" => {
                    open = true;
                    document.forms.push(Form {
                        action: tag.attribute("action"),
                        posts: tag.attribute("method").eq_ignore_ascii_case("post"),
                        ..Form::default()
                    });
                }
                "/form" => open = false,
                "a" => document.links.push(Link { href: tag.attribute("href"), text: text_until(rest, "a") }),
                name @ ("input" | "button") => {
                    if let Some(form) = document.forms.last_mut().filter(|_| open) {
                        form.control(name, &tag, rest);
                    }
                }
                // What they contain is not markup.
                raw @ ("script" | "style") => {
                    rest = rest.find(&format!("</{raw}")).and_then(|end| rest.get(end..)).unwrap_or_default();
                }
                _ => {}
            }
        }
        document
    }
}

impl Form {
    fn control(&mut self, element: &str, tag: &Tag, rest: &str) {
        let (name, value) = (tag.attribute("name"), tag.attribute("value"));
        let kind = tag.attribute("type").to_ascii_lowercase();
        match (element, kind.as_str()) {
            ("button", "button" | "reset") | ("input", "button" | "reset" | "file" | "image") => {}
            ("button", _) => self.buttons.push(Button { name, value, text: text_until(rest, "button") }),
            (_, "submit") => self.buttons.push(Button { name, text: value.clone(), value }),
            (_, "checkbox" | "radio") if !tag.has("checked") => {}
            _ if name.is_empty() => {}
            _ => self.fields.push(Field { name, value }),
        }
    }
}

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn attribute(&self, name: &str) -> String {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| unescape(value)).unwrap_or_default()
    }

    fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(n, _)| n == name)
    }
}

/// The next tag, and what follows it.
fn next_tag(html: &str) -> Option<(Tag, &str)> {
    let mut rest = html.split_once('<')?.1;
    while let Some(comment) = rest.strip_prefix("!--") {
        rest = comment.split_once("-->")?.1.split_once('<')?.1;
    }
    let end_of_name = rest.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(rest.len());
    let (name, mut rest) = rest.split_at_checked(end_of_name)?;
    let name = name.trim_end_matches('/').to_ascii_lowercase();
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if let Some(after) = rest.strip_prefix('>') {
            return Some((Tag { name, attributes }, after));
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>'))?;
        let (key, after) = rest.split_at_checked(end)?;
        let key = key.to_ascii_lowercase();
        let after = after.trim_start();
        let Some(value) = after.strip_prefix('=') else {
            attributes.push((key, String::new()));
            rest = after;
            continue;
        };
        let value = value.trim_start();
        let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
            quoted.split_once('"')?
        } else if let Some(quoted) = value.strip_prefix('\'') {
            quoted.split_once('\'')?
        } else {
            value.split_at_checked(value.find(|c: char| c.is_ascii_whitespace() || c == '>')?)?
        };
        attributes.push((key, value.to_owned()));
        rest = after;
    }
}

/// The text up to the end tag, without tags.
fn text_until(html: &str, element: &str) -> String {
    let end = html.find(&format!("</{element}")).unwrap_or(html.len());
    let mut text = String::new();
    let mut rest = html.get(..end).unwrap_or_default();
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    unescape(text.trim())
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let entity = after.split_once(';').and_then(|(name, tail)| Some((character(name)?, tail)));
        match entity {
            Some((character, tail)) => {
                plain.push(character);
                rest = tail;
            }
            None => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}
