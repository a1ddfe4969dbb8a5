//! Every page of authflow-web with each of its faces, also those that no journey leads to.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::task::JoinHandle;

use crate::chromium::{Browsers, with_browsers};
use crate::looks::look_on;
use crate::pages::samples::Names;
use crate::pages::{DefaultPages, Pages as _};

/// A server of the pages. It ends with this value.
pub(crate) struct Samples {
    pub(crate) origin: String,
    pub(crate) pages: Arc<BTreeMap<String, String>>,
    task: JoinHandle<()>,
}

impl Samples {
    pub(crate) async fn start() -> Self {
        let by_default = DefaultPages::default().application("Example & Co", "/");
        let mut pages = BTreeMap::new();
        Names::kind().each(|name, page| {
            pages.insert(name.to_owned(), by_default.render(page));
        });
        let pages = Arc::new(pages);
        let policy = by_default.content_security_policy();
        let known = Arc::clone(&pages);
        let show = async move |Path(name): Path<String>| {
            let html = (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned());
            known
                .get(&name)
                .map(|page| ([html, (header::CONTENT_SECURITY_POLICY, policy)], page.clone()))
                .ok_or(StatusCode::NOT_FOUND)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        // A page that leads on by itself stays: there is nothing to go to.
        let nothing = async || StatusCode::NO_CONTENT;
        let router = axum::Router::new().route("/page/{name}", get(show)).fallback(nothing);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { origin, pages, task }
    }

    pub(crate) fn url(&self, name: &str) -> String {
        assert!(self.pages.contains_key(name), "{name}");
        format!("{}/page/{name}", self.origin)
    }
}

impl Drop for Samples {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_shuts_nobody_out() {
    with_browsers(async |browsers: Arc<Browsers>| {
        let samples = Samples::start().await;
        let page = browsers.open().await;
        assert!(samples.pages.len() > 35, "{:?}", samples.pages.keys());
        for name in samples.pages.keys() {
            page.goto(&samples.url(name)).await;
            look_on(&[(390, true), (1280, false)], "pages", &page, name).await;
        }
    })
    .await;
}
