//! Images where caches are expected: they are shown as what they are, and not deleted.

use crate::sandbox::{Sandbox, files};

#[test]
fn an_image_that_holds_a_cache_is_deleted_only_when_that_is_asked_for_and_never_its_blobs() {
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
