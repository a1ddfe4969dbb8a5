//! What the tests of the root package share: an HTTP client that answers from a script.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use authflow::{HttpClient, HttpError, HttpRequest, HttpResponse, Limits, async_trait};

/// Answers from a script, and remembers what it was asked.
#[derive(Debug, Default)]
pub struct Script {
    answers: Mutex<VecDeque<Result<HttpResponse, HttpError>>>,
    asked: Mutex<Vec<(HttpRequest, Limits)>>,
}

impl Script {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn json(&self, body: &str) {
        self.answer(200, "application/json", body);
    }

    pub fn answer(&self, status: u16, content_type: &str, body: &str) {
        let response = HttpResponse::new(http::StatusCode::from_u16(status).unwrap(), body);
        self.push(Ok(response.with_header(http::header::CONTENT_TYPE, content_type.parse().unwrap())));
    }

    pub fn push(&self, answer: Result<HttpResponse, HttpError>) {
        self.answers.lock().unwrap().push_back(answer);
    }

    pub fn requests(&self) -> Vec<HttpRequest> {
        self.asked.lock().unwrap().iter().map(|(request, _)| request.clone()).collect()
    }

    pub fn last(&self) -> HttpRequest {
        self.requests().pop().expect("nothing was asked")
    }

    pub fn last_limits(&self) -> Limits {
        self.asked.lock().unwrap().last().expect("nothing was asked").1.clone()
    }
}

#[async_trait]
impl HttpClient for Script {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        self.asked.lock().unwrap().push((request, limits.clone()));
        self.answers.lock().unwrap().pop_front().expect("the script is at its end")
    }
}

/// The pairs of a query or a form.
pub fn pairs(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

pub fn value(pairs: &[(String, String)], name: &str) -> Option<String> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All Rust files of the repository.
fn rust_files() -> Vec<PathBuf> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "node_modules" {
                    collect(&path, files);
                }
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    collect(root(), &mut files);
    files
}

/// The test names in the column `shown by` of a document's tables.
pub fn named_tests(document: &str) -> Vec<String> {
    let mut in_table = false;
    let mut found = Vec::new();
    for line in document.lines() {
        let Some(row) = line.strip_prefix('|').and_then(|row| row.trim_end().strip_suffix('|')) else {
            in_table = false;
            continue;
        };
        let last = row.rsplit('|').next().unwrap_or_default().trim();
        if last == "shown by" {
            in_table = true;
        } else if in_table {
            found.extend(last.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// The functions of all Rust files of the repository.
pub fn functions() -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    for path in rust_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines().filter_map(|line| line.split_once("fn ")) {
            let name: String =
                line.1.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            functions.insert(name);
        }
    }
    functions
}
