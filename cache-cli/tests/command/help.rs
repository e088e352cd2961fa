//! Help: specs, completions, manual pages, and the pages of the documentation that are generated from the code.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::sandbox::Sandbox;

const BEGIN: &str = "<!-- made from the code by the test `the_page_about_specs_is_that_of_the_code` -->";
const END: &str = "<!-- end of what is made -->";

/// `docs/specs.md` with new tables.
fn page(old: &str, specs: &Value) -> String {
    let (before, rest) = old.split_once(BEGIN).expect("the page has a place for the tables");
    let (_, after) = rest.split_once(END).expect("the place has an end");
    let mut made = String::new();
    for kind in specs["types"].as_array().unwrap() {
        let name = kind["type"].as_str().unwrap();
        writeln!(made, "\n## {name}\n\n{}", table(&kind["attributes"])).unwrap();
    }
    writeln!(made, "\n## Every destination\n\n{}", table(&specs["destinations"])).unwrap();
    format!("{before}{BEGIN}\n{made}{END}{after}")
}

fn table(attributes: &Value) -> String {
    let mut text = "| attribute | values | on | without it | means |\n|---|---|---|---|---|\n".to_owned();
    for attribute in attributes.as_array().unwrap() {
        let word = |name: &str| attribute[name].as_str();
        let side = match (attribute["onImport"].as_bool().unwrap(), attribute["onExport"].as_bool().unwrap()) {
            (true, true) => "both",
            (true, false) => "import",
            _ => "export",
        };
        let variable = word("variable").map(|variable| format!("`${variable}`"));
        let required = attribute["isRequired"].as_bool().unwrap().then(|| "refused".to_owned());
        let without = [variable, word("default").map(str::to_owned).or(required)];
        let without = without.into_iter().flatten().collect::<Vec<_>>().join(", else ");
        let values = word("values").unwrap().replace('|', "\\|");
        let (name, about) = (word("name").unwrap(), word("about").unwrap());
        writeln!(text, "| `{name}` | `{values}` | {side} | {without} | {about} |").unwrap();
    }
    text
}

#[test]
fn the_page_about_specs_is_that_of_the_code() {
    let specs = Sandbox::empty().json(&["specs"]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/specs.md");
    let old = fs::read_to_string(&path).unwrap();
    let new = page(&old, &specs);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, new).unwrap();
    } else {
        assert!(old == new, "docs/specs.md is stale; UPDATE_SNAPSHOTS=1 writes it anew");
    }
}

#[test]
fn help_about_specs_names_every_attribute_of_a_type() {
    let run = Sandbox::empty().run(&["help", "specs", "local"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stdout.contains("type=local") && run.stdout.contains("  tag=TEXT") && run.stdout.contains("  mode=min|max")
    );
    assert!(!run.stdout.contains("type=inline"));
    assert_eq!(Sandbox::empty().run(&["specs", "locl"]).code, 2);
}

/// The completions of bash for this line.
fn offered(sandbox: &Sandbox, line: &str) -> Vec<String> {
    let script = sandbox.run(&["completions", "bash"]).stdout;
    fs::write(sandbox.path("script.bash"), script).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_buildcache")).parent().unwrap();
    // Bash splits words at = and : first.
    let words: Vec<String> = line.replace('=', " = ").split(' ').map(|word| format!("{word:?}")).collect();
    let ask = format!(
        "source script.bash; COMP_WORDS=({}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE={line:?}; \
         COMP_POINT=${{#COMP_LINE}}; _buildcache_specs buildcache \"${{COMP_WORDS[COMP_CWORD]}}\"; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" ")
    );
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &ask]).current_dir(sandbox.path("")).env("PATH", path);
    let output = bash.output().unwrap();
    let mut words: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    words.sort();
    words
}

#[test]
fn bash_completes_types_attributes_directories_and_tags() {
    let sandbox = Sandbox::with("v0.32/generations");
    assert_eq!(offered(&sandbox, "buildcache verify type=lo"), ["local,"]);
    assert_eq!(offered(&sandbox, "buildcache verify type=local,s"), ["local,src="]);
    assert_eq!(offered(&sandbox, "buildcache verify type=local,src="), ["a"]);
    assert_eq!(offered(&sandbox, "buildcache verify type=local,src=a,tag="), ["latest", "release"]);
    assert!(offered(&sandbox, "buildcache ver").contains(&"verify".to_owned()));
    assert!(offered(&sandbox, "buildcache verify --fa").contains(&"--fast".to_owned()));
}

#[test]
fn the_manual_has_a_page_for_each_verb_with_its_exit_codes() {
    let sandbox = Sandbox::empty();
    assert_eq!(sandbox.run(&["man", "pages"]).code, 0);
    for verb in ["buildcache", "buildcache-copy", "buildcache-verify", "buildcache-prune"] {
        let page = fs::read_to_string(sandbox.path("pages").join(format!("{verb}.1"))).unwrap();
        assert!(page.contains("EXIT STATUS") && page.contains("somebody else wrote first"), "{verb}");
    }
    assert!(!sandbox.path("pages/buildcache-__complete.1").exists());
}
