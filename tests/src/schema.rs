//! Compares documents of the program with the files in `schemas/`.
//!
//! Only those keywords of JSON Schema are known that these files use: a file with another one is refused. Unknown
//! fields are refused too, although readers have to accept them. (The crate `jsonschema` would add 28 crates.)

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde_json::{Map, Value};

/// Keywords that do not restrict a document.
const HARMLESS: [&str; 6] = ["$schema", "$defs", "title", "description", "format", "default"];

/// Compares a document with the file that its `schema` names. Other JSON is not checked.
///
/// # Errors
/// If the document does not match its schema.
pub fn check(document: &Value) -> Result<(), String> {
    let Some(name) = document["schema"].as_str().and_then(|name| name.strip_prefix("buildcache.")) else {
        return Ok(());
    };
    let name = name.strip_suffix("/v1").ok_or_else(|| format!("there is no schema for {name}"))?;
    let schema = read(name)?;
    let place = Place { root: &schema, path: name.to_owned() };
    place.check(&schema, document)
}

fn read(name: &str) -> Result<Arc<Value>, String> {
    static READ: LazyLock<Mutex<HashMap<String, Arc<Value>>>> = LazyLock::new(Mutex::default);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(schema) = read.get(name) {
        return Ok(Arc::clone(schema));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas").join(format!("{name}.json"));
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let schema = Arc::new(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?);
    let _ = read.insert(name.to_owned(), Arc::clone(&schema));
    Ok(schema)
}

/// A part of a document.
struct Place<'a> {
    root: &'a Value,
    path: String,
}

impl Place<'_> {
    fn at(&self, step: impl std::fmt::Display) -> Self {
        Place { root: self.root, path: format!("{}.{step}", self.path) }
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Result<(), String> {
        Err(format!("{}: {what}", self.path))
    }

    fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let Some(words) = schema.as_object() else {
            return if *schema == Value::Bool(true) { Ok(()) } else { self.wrong("a schema that is not an object") };
        };
        for (word, said) in words {
            match word.as_str() {
                "$ref" => self.check(self.definition(said)?, value)?,
                "type" => self.of_type(said, value)?,
                "const" if said != value => return self.wrong(format!("{value} is not {said}")),
                "enum" if !said.as_array().is_some_and(|all| all.contains(value)) => {
                    return self.wrong(format!("{value} is none of {said}"));
                }
                "anyOf" | "oneOf" => self.any_of(said, value)?,
                "properties" => self.fields(said, words, value)?,
                "items" => {
                    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.at(at).check(said, item)?;
                    }
                }
                "pattern" => self.text(said, value)?,
                "minimum" if value.is_number() && value.as_f64() < said.as_f64() => {
                    return self.wrong(format!("{value} is below {said}"));
                }
                "maximum" if value.is_number() && value.as_f64() > said.as_f64() => {
                    return self.wrong(format!("{value} is above {said}"));
                }
                "const" | "enum" | "minimum" | "maximum" | "required" | "additionalProperties" => {}
                word if HARMLESS.contains(&word) => {}
                word => return self.wrong(format!("no check knows the word {word}")),
            }
        }
        self.required(words, value)
    }

    fn definition(&self, name: &Value) -> Result<&Value, String> {
        let pointer = name.as_str().and_then(|name| name.strip_prefix('#')).unwrap_or_default();
        self.root.pointer(pointer).ok_or_else(|| format!("{}: no definition {name}", self.path))
    }

    fn of_type(&self, said: &Value, value: &Value) -> Result<(), String> {
        let is = |name: &Value| match name.as_str() {
            Some("null") => value.is_null(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_u64() || value.is_i64(),
            Some("number") => value.is_number(),
            Some("string") => value.is_string(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            _ => false,
        };
        let is_one = said.as_array().map_or_else(|| is(said), |all| all.iter().any(is));
        if is_one { Ok(()) } else { self.wrong(format!("{value} is no {said}")) }
    }

    fn any_of(&self, said: &Value, value: &Value) -> Result<(), String> {
        let tries: Vec<_> = said.as_array().into_iter().flatten().map(|schema| self.check(schema, value)).collect();
        if tries.iter().any(Result::is_ok) { Ok(()) } else { self.wrong(format!("nothing fits: {tries:?}")) }
    }

    fn fields(&self, said: &Value, words: &Map<String, Value>, value: &Value) -> Result<(), String> {
        for (name, field) in value.as_object().into_iter().flatten() {
            match (said.get(name), words.get("additionalProperties")) {
                (Some(schema), _) | (None, Some(schema @ Value::Object(_))) => self.at(name).check(schema, field)?,
                _ => return self.at(name).wrong("no schema names this field"),
            }
        }
        Ok(())
    }

    fn required(&self, words: &Map<String, Value>, value: &Value) -> Result<(), String> {
        let names = words.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        match names.into_iter().find(|name| value.is_object() && value.get(name).is_none()) {
            Some(name) => self.at(name).wrong("the field is missing"),
            None => Ok(()),
        }
    }

    /// Only the patterns of digests and times are known.
    fn text(&self, pattern: &Value, value: &Value) -> Result<(), String> {
        let Some(text) = value.as_str() else { return Ok(()) };
        let is_right = match pattern.as_str().unwrap_or_default() {
            pattern if pattern.starts_with("^sha") => text.parse::<cache_core::Digest>().is_ok(),
            pattern if pattern.starts_with("^[0-9]{4}-") => text.parse::<cache_core::Timestamp>().is_ok(),
            pattern => return self.wrong(format!("no check knows the pattern {pattern}")),
        };
        if is_right { Ok(()) } else { self.wrong(format!("{text} does not match {pattern}")) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mismatch_with_the_schema_is_found() {
        let good = json!({ "schema": "buildcache.error/v1", "error": "x", "hint": null, "exitCode": 2 });
        assert_eq!(check(&good), Ok(()));
        let changed = |name: &str, value: Value| {
            let mut document = good.clone();
            document[name] = value;
            check(&document)
        };
        assert!(changed("hint", json!(7)).is_err());
        assert!(changed("more", json!("x")).unwrap_err().contains("error.more"));
        assert!(changed("exitCode", json!(-1.5)).is_err());
        assert!(changed("exitCode", json!(256)).unwrap_err().contains("above"));
        assert!(changed("exitCode", json!(-1)).unwrap_err().contains("below"));
        assert!(changed("schema", json!("buildcache.nothing/v1")).is_err());
        let mut document = good.clone();
        let _ = document.as_object_mut().unwrap().remove("error");
        assert!(check(&document).unwrap_err().contains("missing"));
        assert_eq!(check(&json!({ "cache.manifest": {} })), Ok(()));
    }

    #[test]
    fn an_unknown_keyword_is_refused() {
        let schema = json!({ "maxLength": 3 });
        assert!(Place { root: &schema, path: String::new() }.check(&schema, &json!("long")).is_err());
    }
}
