//! The bill of materials, as CycloneDX 1.5 (<https://cyclonedx.org/docs/1.5/json/>).

use serde_json::{Value, json};

use super::Release;
use super::packages::Package;
use crate::failure::Failure;

/// The bill of materials of one program. It has no serial number and no time, so that equal programs have equal bills.
pub(super) fn cyclonedx(release: &Release<'_>, packages: &[Package]) -> Result<String, Failure> {
    let components: Vec<Value> = packages.iter().map(component).collect();
    let bill = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": "buildcache",
                "version": release.version,
                "properties": [{ "name": "rust:target", "value": release.target }],
            },
        },
        "components": components,
    });
    let text = serde_json::to_string_pretty(&bill);
    text.map(|text| text + "\n").map_err(|error| Failure::new(format!("the bill cannot be written: {error}")))
}

fn component(package: &Package) -> Value {
    let Package { name, version, licence, checksum, .. } = package;
    let mut component = json!({ "type": "library", "name": name, "version": version });
    if !licence.is_empty() {
        // Old manifests write `A/B` for `A OR B`.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    if let Some(checksum) = checksum {
        component["purl"] = format!("pkg:cargo/{name}@{version}").into();
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::component;
    use crate::dist::packages::Package;

    #[test]
    fn a_crate_of_a_registry_is_named_by_its_url_and_its_hash() {
        let mut package = Package {
            name: "a".to_owned(),
            version: "1.0.0".to_owned(),
            licence: "MIT/Apache-2.0".to_owned(),
            folder: PathBuf::new(),
            checksum: Some("00ff".to_owned()),
        };
        let found = component(&package);
        assert_eq!((&found["purl"], &found["hashes"][0]["content"]), (&"pkg:cargo/a@1.0.0".into(), &"00ff".into()));
        assert_eq!(found["licenses"][0]["expression"], "MIT OR Apache-2.0");
        package.checksum = None;
        assert!(component(&package)["purl"].is_null());
    }
}
