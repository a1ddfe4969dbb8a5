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

/// What axe-core leaves to a person, because something lies above or behind a text, or the text is an arrow: here every ground is a
/// plain color, that of the nearest element which has one, so that the contrast can be said. A question of another kind stays one.
const RESOLVE: &str = "
    const parts = (color) => (color.match(/[\\d.]+/g) || []).map(Number);
    const light = (color) => {
        const [r, g, b] = parts(color).map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const color = getComputedStyle(at).backgroundColor;
            if (parts(color)[3] !== 0) return color;
        }
        return 'rgb(255, 255, 255)';
    };
    const isRead = (element) => {
        const [a, b] = [getComputedStyle(element).color, ground(element)].map(light);
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) >= 4.5;
    };
    const unresolved = (incomplete) => incomplete.map((one) => one.id !== 'color-contrast' ? one :
        { ...one, nodes: one.nodes.filter((node) => !isRead(document.querySelector(node.target[0]))) })
        .filter((one) => one.nodes.length > 0);";

/// What it says of the page in front; all of its rules, also those that are only advice.
pub(crate) async fn violations(page: &Page) -> Vec<String> {
    let script = format!(
        "{};
        const done = arguments[arguments.length - 1];
        const told = (one) => one.id + ' (' + one.impact + '): ' + one.help + ': ' +
            one.nodes.map((node) => node.html + ' ' + node.failureSummary).join(' | ');
        {RESOLVE}
        axe.run(document, {{ resultTypes: ['violations', 'incomplete', 'passes'] }}).then(
            (found) => done({{ passes: found.passes.length,
                violations: [...found.violations, ...unresolved(found.incomplete)].map(told) }}),
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
