//! What depending on authflow adds: crates in the tree, and the CPU time of a clean release build.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::arguments::Settings;
use crate::measure::{Spread, take_turns};
use crate::table::Line;

const BARE: &str = r#"
reqwest = { version = "0.13", default-features = false, features = ["form", "rustls"] }
serde = { version = "1", features = ["derive"] }
serde_json = "1"
"#;
const OAUTH2: &str = r#"oauth2 = { version = "5", default-features = false }"#;
const MUST_BUILD: f64 = 1.15;

/// An application that has nothing but `dependencies`, in a folder of its own that goes with this value.
struct Application {
    folder: PathBuf,
}

impl Application {
    fn new(name: &str, dependencies: &str) -> Self {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folder = std::env::temp_dir().join(format!("authflow-bench-{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join("src")).unwrap();
        let manifest = format!(
            "[package]\nname = \"application\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{dependencies}\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs::write(folder.join("src/main.rs"), "fn main() {}\n").unwrap();
        // The versions that the workspace is locked to; what is not needed falls out.
        fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        Self { folder }
    }

    /// With these features and no others.
    fn on_ours(name: &str, package: &str, path: &str, features: &[&str]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        let features = format!("default-features = false, features = {features:?}");
        Self::new(name, &format!("{package} = {{ path = {path:?}, {features} }}"))
    }

    fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.folder).env_remove("CARGO_TARGET_DIR").stderr(Stdio::null());
        command
    }

    /// How many crates have to be compiled for this platform, without the application itself.
    fn crates(&self) -> usize {
        let output = self
            .cargo()
            .args(["tree", "--prefix", "none", "--no-dedupe", "--edges", "normal,build"])
            .output()
            .unwrap();
        assert!(output.status.success(), "cargo tree failed in {}", self.folder.display());
        let text = String::from_utf8(output.stdout).unwrap();
        let name_and_version = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        text.lines()
            .skip(1)
            .map(name_and_version)
            .filter(|line| !line.is_empty())
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// The CPU time of a clean release build, in nanoseconds.
    fn build(&self) -> f64 {
        let _there_may_be_none = fs::remove_dir_all(self.folder.join("target"));
        let begun = cpu_of_children();
        assert!(self.cargo().args(["build", "--release", "--quiet"]).status().unwrap().success());
        cpu_of_children() - begun
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _a_temporary_folder_may_stay = fs::remove_dir_all(&self.folder);
    }
}

/// Fields 16 and 17 of proc_pid_stat(5): user and system time of the children that ended, in ticks of 10 ms.
fn cpu_of_children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(") ").next().unwrap();
    let ticks: f64 = after_name.split(' ').skip(13).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    ticks * 10_000_000.0
}

pub(crate) fn measure(_: &Settings) -> Vec<Line> {
    let bare = Application::new("bare", BARE).crates();
    let oauth2_alone = Application::new("oauth2-alone", OAUTH2).crates();
    let oauth2 = Application::new("oauth2", &format!("{BARE}{OAUTH2}")).crates();
    let line = |work: &str, floor: String, oauth2: String, application: &Application, must: Option<usize>| {
        let crates = application.crates();
        Line {
            work: format!("crates in the tree: {work}"),
            floor,
            oauth2,
            authflow: crates.to_string(),
            ratio: String::new(),
            must: must.map(|must| must.to_string()).unwrap_or_default(),
            reached: must.map(|must| crates <= must),
        }
    };
    let core = Application::on_ours("core", "authflow-core", "core", &[]);
    let facade = Application::on_ours("facade", "authflow", "authflow", &["reqwest"]);
    let decompressing =
        Application::on_ours("decompressing", "authflow", "authflow", &["reqwest", "decompression"]);
    let core_connected = Application::on_ours("core-connected", "authflow-core", "core", &["connections"]);
    let connected = Application::on_ours("connected", "authflow", "authflow", &["reqwest", "connections"]);
    let (by_hand, with_oauth2) = (bare.to_string(), oauth2.to_string());
    vec![
        line("core, no HTTP client", String::new(), oauth2_alone.to_string(), &core, Some(70)),
        line("with reqwest and rustls", by_hand.clone(), with_oauth2.clone(), &facade, Some(115)),
        line("the same and decompression", by_hand.clone(), with_oauth2.clone(), &decompressing, Some(125)),
        line(
            "core with connections and sealing",
            String::new(),
            oauth2_alone.to_string(),
            &core_connected,
            None,
        ),
        line("the facade as it is by default, with both", by_hand, with_oauth2, &connected, None),
    ]
}

pub(crate) fn measure_builds(settings: &Settings) -> Vec<Line> {
    let bare = Application::new("bare", BARE);
    let oauth2 = Application::new("oauth2", &format!("{BARE}{OAUTH2}"));
    let facade = Application::on_ours("facade", "authflow", "authflow", &["reqwest"]);
    // What has to be downloaded is downloaded before.
    for application in [&bare, &oauth2, &facade] {
        application.crates();
    }
    let rounds = if settings.is_quick() { 1 } else { 5 };
    let [floor, oauth2, authflow] =
        take_turns(rounds, [&mut || bare.build(), &mut || oauth2.build(), &mut || facade.build()]);
    let ratio = Spread::ratio(&authflow, &floor);
    let seconds = |series: &[f64]| format!("{:.0} s", Spread::of(series).median / 1e9);
    vec![Line {
        work: "clean release build, CPU".to_owned(),
        floor: seconds(&floor),
        oauth2: format!("{} x", Spread::ratio(&oauth2, &floor)),
        authflow: seconds(&authflow),
        ratio: ratio.to_string(),
        must: "1.15 x".to_owned(),
        reached: Some(ratio.reaches(MUST_BUILD)),
    }]
}
