//! The schema files are current, and describe every field.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{DOCUMENTS, file};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas")
}

#[test]
fn the_files_are_those_of_the_types() {
    let updates = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    let mut names = Vec::new();
    for document in DOCUMENTS {
        let name = document.name;
        let (path, text) = (folder().join(format!("{name}.json")), file(&document));
        if updates {
            fs::create_dir_all(folder()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let is_current = fs::read_to_string(&path).is_ok_and(|found| found == text);
        assert!(is_current, "schemas/{name}.json is stale; `cargo xtask schemas` writes it anew");
        names.push(format!("{name}.json"));
    }
    let mut found: Vec<String> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    names.sort();
    assert_eq!(found, names, "a schema that no document has");
}

#[test]
fn every_field_is_described() {
    for document in DOCUMENTS {
        let name = document.name;
        let schema: Value = serde_json::from_str(&file(&document)).unwrap();
        let definitions = schema["$defs"].as_object().cloned().unwrap_or_default();
        for (of, object) in definitions.iter().map(|(of, object)| (of.as_str(), object)).chain([(name, &schema)]) {
            let fields: Map<String, Value> = object["properties"].as_object().cloned().unwrap_or_default();
            for (field, described) in &fields {
                assert!(described["description"].is_string(), "{name}: {of}.{field} has no documentation");
            }
        }
    }
}
