//! Images in place of caches: they are shown as images, and not deleted.

use std::fs;

use cache_core::Digest;
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, files};

#[test]
fn an_image_that_holds_a_cache_is_deleted_only_with_any_and_never_its_blobs() {
    let sandbox = Sandbox::with("v0.32/inline-image");
    let before = files(&sandbox.path("a"));
    for args in [&["rm", "-f"][..], &["rm", "-f", "--blobs"], &["rm", "-f", "--blobs", "--any"], &["rm", "--dry-run"]] {
        let run = sandbox.run(&[args, &["type=local,src=a"]].concat());
        assert_eq!(run.code, 2, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains("is an image that holds a cache"), "{}", run.stderr);
    }
    assert_eq!(files(&sandbox.path("a")), before);
    assert_eq!(sandbox.run(&["rm", "-f", "--any", "type=local,src=a"]).code, 0);
    assert_eq!(files(&sandbox.path("a/blobs")).len(), before.len() - 2, "all but index.json and oci-layout");
}

#[test]
fn ls_shows_what_a_name_leads_to() {
    let content = |fixture: &str| {
        let listed = Sandbox::with(fixture).json(&["ls", "type=local,src=a"]);
        listed["caches"][0]["content"].as_str().map(str::to_owned)
    };
    assert_eq!(content("v0.32/max-manifest").as_deref(), Some("cache"));
    assert_eq!(content("v0.12/max-docker").as_deref(), Some("cache"));
    assert_eq!(content("v0.32/inline-image").as_deref(), Some("image-with-cache"));
    assert_eq!(content("v0.32/inline-multi").as_deref(), Some("image-with-cache"));
    assert_eq!(content("../torn/max").as_deref(), Some("missing"));
}

#[test]
fn a_name_that_leads_to_no_cache_is_not_offered_as_one() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    add_other(&sandbox, "chart", "application/vnd.cncf.helm.config.v1+json");
    let said = |tag: &str| {
        let run = sandbox.run(&["inspect", &format!("type=local,src=a,tag={tag}")]);
        assert_eq!(run.code, 4, "{}", run.stderr);
        run.stderr
    };
    assert!(said("chart").contains("leads to an image without a cache, or to something else"));
    assert!(said("chars").contains("these are there: chart, latest"));
}

/// Adds something other than a cache to a layout, under a name.
fn add_other(sandbox: &Sandbox, name: &str, config_type: &str) {
    let put = |text: String| {
        let digest = Digest::sha256(text.as_bytes());
        fs::write(sandbox.blob("a", &digest.to_string()), &text).unwrap();
        (digest, text.len())
    };
    let (config, size) = put("{}".to_owned());
    let config = format!(r#"{{"mediaType":"{config_type}","digest":"{config}","size":{size}}}"#);
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let (digest, size) =
        put(format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{config},"layers":[]}}"#));
    let path = sandbox.path("a/index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let entry = json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size,
        "annotations": { "org.opencontainers.image.ref.name": name } });
    index["manifests"].as_array_mut().unwrap().push(entry);
    fs::write(&path, index.to_string()).unwrap();
}

#[test]
fn a_copy_of_all_caches_says_how_many_names_lead_to_other_things() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    add_other(&sandbox, "app", "application/vnd.oci.image.config.v1+json");
    add_other(&sandbox, "chart", "application/vnd.cncf.helm.config.v1+json");
    let run = sandbox.run(&["copy", "--all", "type=local,src=a", "type=local,dest=b"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("leaves out 2 names of other things"), "{}", run.stderr);
    let copied = sandbox.json(&["copy", "--all", "type=local,src=a", "type=local,dest=c"]);
    assert_eq!((&copied["others"], copied["copies"].as_array().unwrap().len()), (&json!(2), 1), "{copied}");
    // In a store without caches there is nothing to copy.
    assert_eq!(sandbox.run(&["rm", "-f", "type=local,src=a"]).code, 0);
    let run = sandbox.run(&["copy", "--all", "type=local,src=a", "type=local,dest=d"]);
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(!sandbox.path("d").exists());
}
