//! The names that a real BuildKit gave its blobs.

use super::*;

fn keys(prefix: &str, manifests: &str, blobs: &str, names: &str) -> Keys {
    Keys::new(prefix, manifests, blobs, names.split(';')).unwrap()
}

fn digest() -> Digest {
    Digest::sha256(b"layer")
}

#[test]
fn names_are_joined_as_buildkit_does() {
    let hex = digest().to_string();
    let plain = keys("a/b", "manifests", "blobs", "n1");
    assert_eq!(
        (plain.manifests(), plain.blob(&digest())),
        (&["a/b/manifests/n1".to_owned()][..], format!("a/b/blobs/{hex}"))
    );
    assert_eq!(keys("/lead/", "manifests", "blobs", "n2").manifests(), ["/lead/manifests/n2"]);
    let climbing = keys("p", "../m", "./b//x/", "n3");
    assert_eq!((climbing.manifests(), climbing.blob(&digest())), (&["m/n3".to_owned()][..], format!("p/b/x/{hex}")));
    let bare = keys("", "", "", "n4");
    assert_eq!((bare.manifests(), bare.blob(&digest())), (&["n4".to_owned()][..], hex));
    assert_eq!(
        keys("f", "manifests", "blobs", ";x; y ").manifests(),
        ["f/manifests", "f/manifests/x", "f/manifests/ y "]
    );
    assert_eq!(Keys::default(), keys("", "manifests", "blobs", "buildkit"));
}

/// What Go's own documentation and tests of `path.Clean` say.
#[test]
fn paths_are_cleaned_as_go_does() {
    for (given, expected) in [
        ("abc//def//ghi", "abc/def/ghi"),
        ("abc/./def", "abc/def"),
        ("abc/def/ghi/../jkl", "abc/def/jkl"),
        ("abc/../../././../def", "../../def"),
        ("/abc/../../././../def", "/def"),
        ("/../..", "/"),
        ("abc/..", "."),
        ("../../abc", "../../abc"),
        ("abc/def/", "abc/def"),
    ] {
        assert_eq!(clean(given), expected, "{given}");
    }
}

#[test]
fn a_name_twice_is_one_index() {
    assert_eq!(keys("", "m", "b", "x;./x;y").manifests(), ["m/x", "m/y"]);
}

#[test]
fn a_name_that_is_no_blob_is_refused() {
    for (prefix, manifests, name) in
        [("", "", ""), ("a", "..", ""), ("", "..", ""), ("/", "", ""), ("", "m", &"x".repeat(1_023))]
    {
        let error = Keys::new(prefix, manifests, "blobs", [name]).unwrap_err();
        assert_eq!((error.kind(), error.context("attribute")), (ErrorKind::InvalidSpec, Some("name")), "{error}");
    }
    assert!(Keys::new("", "m", "b", []).is_err());
}

#[test]
fn listed_names_are_indexes_layers_or_neither() {
    let plain = Keys::default();
    let layer = plain.blob(&digest());
    assert_eq!(
        (plain.name_of("manifests/a/b"), plain.name_of("manifests"), plain.name_of("manifestsx/a")),
        (Some("a/b"), Some(""), None)
    );
    assert_eq!((plain.name_of(&layer), plain.digest_of(&layer)), (None, Some(digest())));
    assert_eq!((plain.digest_of("blobs/other"), plain.digest_of("manifests/main")), (None, None));
    let bare = keys("", "", "", "main");
    let layer = bare.blob(&digest());
    assert_eq!(
        (bare.name_of("main"), bare.name_of(&layer), bare.digest_of(&layer)),
        (Some("main"), None, Some(digest()))
    );
    assert_eq!(bare.manifests_start(), "");
    assert_eq!(keys("/", "", "b", "n").name_of("/n"), Some("n"));
}

#[test]
fn the_name_of_an_index_is_read_back_from_its_key() {
    for keys in [Keys::default(), keys("a/..", "", "b", "n"), keys("/", "", "", "n"), keys("../x", "m", "b", "n")] {
        let at = keys.at("other/name").unwrap();
        assert_eq!(keys.name_of(at.first()), Some("other/name"), "{keys:?}");
    }
}
