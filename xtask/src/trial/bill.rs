//! Checks the bill of materials and the licences of an archive, and the list of crates in the program.

use std::fs;

use serde_json::Value;

use super::Trial;
use crate::failure::Failure;

/// The section with the list of crates in a program that `cargo auditable` built.
const SECTION: &[u8] = b".dep-v0";
const DOCUMENTATION: &str = "share/doc/buildcache";

/// Every crate of a registry has its licence in the text, and the program contains the list of its crates.
pub(super) fn check(trial: &Trial<'_>) -> Result<String, Failure> {
    let bill: Value = serde_json::from_str(&trial.read(&format!("{DOCUMENTATION}/buildcache.cdx.json"))?)
        .map_err(|error| Failure::new(format!("the bill is not JSON: {error}")))?;
    let licences = trial.read(&format!("{DOCUMENTATION}/THIRD-PARTY.txt"))?;
    let components: Vec<&Value> = bill["components"].as_array().into_iter().flatten().collect();
    let foreign: Vec<&&Value> = components.iter().filter(|component| component["purl"].is_string()).collect();
    for component in &foreign {
        let text = |name: &str| component[name].as_str().unwrap_or_default();
        let line = format!("\n{} {}: ", text("name"), text("version"));
        if !licences.contains(&line) {
            return Err(Failure::new(format!("THIRD-PARTY.txt does not name {} {}", text("name"), text("version"))));
        }
        if component["licenses"][0]["expression"].as_str().is_none_or(str::is_empty) {
            return Err(Failure::new(format!("the bill has no licence of {}", text("name"))));
        }
    }
    for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "CHANGELOG.md"] {
        let _ = trial.read(&format!("{DOCUMENTATION}/{file}"))?;
    }
    let program = trial.root.path(&format!("{}/bin/buildcache", trial.prefix));
    let bytes = fs::read(&program).map_err(|error| Failure::io("read", &program, &error))?;
    if !bytes.windows(SECTION.len()).any(|window| window == SECTION) {
        return Err(Failure::new("the program holds no list of its crates (.dep-v0)"));
    }
    let texts = licences.matches(&"=".repeat(80)).count();
    Ok(format!(
        "{} crates, {} of registries, {texts} texts of licences; .dep-v0 is in the program",
        components.len(),
        foreign.len()
    ))
}
