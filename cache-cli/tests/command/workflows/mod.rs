//! Runs the recipes in `docs/recipes` and the action of this repository with servers of the tests.
//!
//! `cargo xtask recipes` runs only these tests, and with a real BuildKit if one is installed.

mod action;
mod expression;
mod github;
mod others;
mod places;
mod runner;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of `docs/recipes`.
fn recipe(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/recipes").join(name)
}

/// A YAML file as data.
fn yaml(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_norway::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_recipe_is_run_by_a_test_and_told_on_the_page() {
    let page = fs::read_to_string(recipe("../recipes.md")).unwrap();
    let tests = [include_str!("github.rs"), include_str!("others.rs")].concat();
    for entry in fs::read_dir(recipe("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(page.contains(&format!("(recipes/{name})")), "docs/recipes.md does not tell of {name}");
        assert!(tests.contains(&format!("{name:?}")), "no test runs {name}");
    }
}
