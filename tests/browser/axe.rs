//! axe-core, which looks for what keeps people out: contrast, names, order, language.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

use crate::page::Page;

static AXE: LazyLock<String> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(&path).unwrap_or_else(|_| {
        panic!("axe-core is missing: run `npm ci` in tests/servers, or `cargo xtask test`, which does it")
    })
});

/// What it says of the page in front; all of its rules, also those that are only advice.
pub(crate) async fn violations(page: &Page) -> Vec<String> {
    let script = format!(
        "{};
        const done = arguments[arguments.length - 1];
        axe.run(document, {{ resultTypes: ['violations', 'passes'] }}).then(
            (found) => done({{ passes: found.passes.length, violations: found.violations.map((one) =>
                one.id + ' (' + one.impact + '): ' + one.help + ': ' +
                one.nodes.map((node) => node.html + ' ' + node.failureSummary).join(' | ')) }}),
            (error) => done({{ error: String(error) }}));",
        *AXE
    );
    let found = page.driver().execute_async(&script, Vec::new()).await.unwrap();
    assert!(found["passes"].as_u64().is_some_and(|rules| rules > 5), "axe-core looked at the page: {found}");
    let all = found["violations"].as_array().unwrap().iter();
    all.map(|one| one.as_str().map_or_else(|| Value::to_string(one), str::to_owned)).collect()
}

/// A page that shuts nobody out.
pub(crate) async fn assert_accessible(page: &Page, name: &str) {
    let violations = violations(page).await;
    assert!(violations.is_empty(), "{name}: {violations:#?}");
}
