//! The rules of buildx and buildctl, and of typed attributes.

use super::*;

fn spec(text: &str) -> CacheSpec {
    text.parse().unwrap()
}

fn message(argument: &str) -> String {
    CacheSpec::parse_buildx(argument).unwrap_err().to_string()
}

#[test]
fn keys_are_lower_cased_and_values_are_verbatim() {
    let parsed = spec("TYPE=local,SRC=/Tmp/A b,Tag= x=y ");
    assert_eq!((parsed.kind(), parsed.get("src"), parsed.get("tag")), ("local", Some("/Tmp/A b"), Some(" x=y ")));
    assert_eq!(spec("type=local, src=x").get(" src"), Some("x"));
}

#[test]
fn the_last_of_a_repeated_key_wins() {
    assert_eq!(spec("type=s3,type=local,src=a,src=b"), spec("type=local,src=b"));
}

#[test]
fn a_whole_field_may_be_quoted() {
    assert_eq!(spec("type=local,\"src=a,b\"\"c\"").get("src"), Some("a,b\"c"));
    assert_eq!(message("type=local,src=\"a,b\""), "parse error on line 1, column 16: bare \" in non-quoted-field");
    assert!(message("type=local,\"src=a").contains("extraneous or missing \" in quoted-field"));
    assert!(message("type=local,\"src=a\"b").contains("extraneous or missing \" in quoted-field"));
}

#[test]
fn one_newline_at_the_end_is_allowed() {
    assert_eq!(spec("type=local,src=a\n"), spec("type=local,src=a"));
    assert_eq!(spec("type=local,src=a\nb").get("src"), Some("a\nb"));
}

#[test]
fn a_field_without_a_value_is_refused() {
    assert_eq!(message("type=local,src"), "invalid value src");
    assert_eq!(message("type=local,"), "invalid value ");
}

#[test]
fn a_type_is_required() {
    assert_eq!(message("src=a"), "type required for \"src=a\"");
    assert_eq!(message("type=,src=a"), "type required for \"type=,src=a\"");
}

#[test]
fn buildx_takes_references_without_any_equals_sign() {
    let specs = CacheSpec::parse_buildx("ghcr.io/a/b:c,docker.io/d").unwrap();
    let references: Vec<_> = specs.iter().map(|spec| (spec.kind(), spec.get("ref").unwrap())).collect();
    assert_eq!(references, [("registry", "ghcr.io/a/b:c"), ("registry", "docker.io/d")]);
    assert_eq!(CacheSpec::parse_buildx("").unwrap(), []);
    assert!(CacheSpec::parse_buildx(",").is_err());
    assert!(CacheSpec::parse_buildx("foo,").is_err());
    assert!("a,b".parse::<CacheSpec>().is_err());
}

#[test]
fn buildctl_takes_a_reference_unless_the_text_has_a_lower_case_type() {
    assert_eq!(CacheSpec::parse_buildctl("TYPE=local").unwrap().get("ref"), Some("TYPE=local"));
    assert_eq!(CacheSpec::parse_buildctl("type=local,src=a").unwrap(), spec("type=local,src=a"));
}

#[test]
fn booleans_are_those_of_go() {
    for (text, value) in [("1", true), ("T", true), ("True", true), ("0", false), ("f", false), ("FALSE", false)] {
        assert_eq!(spec(&format!("type=x,b={text}")).attrs().bool("b").unwrap(), Some(value));
    }
    for bad in ["", "yes", "tRUE", "2"] {
        assert!(spec(&format!("type=x,b={bad}")).attrs().bool("b").is_err(), "{bad}");
    }
}

#[test]
fn an_unknown_attribute_names_the_nearest_known_one() {
    let spec = spec("type=local,src=a,digets=b");
    let mut attrs = spec.attrs();
    attrs.required("src", "dest").unwrap();
    attrs.optional("digest");
    let error = attrs.finish().unwrap_err();
    assert_eq!(error.context("unknown"), Some("digets"));
    assert_eq!(error.hint(), Some("did you mean digest?"));
}

/// To compare ten million letters with every name takes minutes.
#[test]
fn a_name_of_any_length_is_refused_at_once() {
    let spec = CacheSpec::new("local").with(&"a".repeat(10_000_000), "b");
    let mut attrs = spec.attrs();
    for name in ["src", "dest", "tag", "digest", "reset", "image-manifest", "oci-mediatypes"] {
        attrs.optional(name);
    }
    assert_eq!(attrs.finish().unwrap_err().context("unknown"), Some("REDACTED"));
}

#[test]
fn a_required_attribute_may_come_under_its_other_name_but_not_empty() {
    assert_eq!(spec("type=local,dest=a").attrs().required("src", "dest").unwrap(), "a");
    let error = spec("type=local,src=").attrs().required("src", "dest").unwrap_err();
    assert_eq!(error.to_string(), "type=local requires src (attribute=src)");
}

#[test]
fn a_misspelt_required_attribute_gets_a_hint() {
    for (given, hint) in [
        ("type=local,scr=a", Some("did you mean src instead of scr?")),
        ("type=local,dst=a", Some("did you mean src instead of dst?")),
        ("type=local,tag=a", None),
    ] {
        let error = spec(given).attrs().required("src", "dest").unwrap_err();
        assert_eq!(error.hint(), hint, "{given}");
    }
}

#[test]
fn a_spec_to_read_has_nothing_that_only_destinations_have() {
    let attributes = [
        Attribute { name: "src", ..Attribute::PLAIN },
        Attribute { name: "reset", on_import: false, ..Attribute::PLAIN },
        Attribute { name: "digest", on_export: false, ..Attribute::PLAIN },
    ];
    let given = spec("type=local,src=a,reset=true,digest=x,other=y");
    assert_eq!(given.as_import(&attributes), spec("type=local,src=a,digest=x,other=y"));
}

#[test]
fn no_secret_is_shown() {
    let shown = spec("type=s3,secret_access_key=hush,session_token=hush,account_url=hush,bucket=b").to_string();
    assert!(!shown.contains("hush"), "{shown}");
    assert!(shown.contains("bucket=b"));
}

#[test]
fn what_is_not_known_to_be_harmless_is_never_shown() {
    for given in ["type=s3,tokn=hush", "type=s3,secret=hush,bucket=b", "https://me:hush@host/x", "host/x?hush"] {
        let given = spec(given);
        assert!(!format!("{given} {given:?}").contains("hush"), "{given}");
    }
    let url = spec("type=s3,endpoint_url=https://me:hush@host:9000/?sig=hush").to_string();
    assert_eq!(url, "type=s3,endpoint_url=https://REDACTED@host:9000/?REDACTED");
}

#[test]
fn no_usage_error_shows_what_is_not_known_to_be_harmless() {
    for given in [
        "bucket=b,secret_access_key=hush",
        "secret_access_key=hush",
        "type=s3,hush",
        "type=s3,bucket=b,hush+/hush",
        "https://me:hush@host/x,",
        "https://me:hush@host/x,host/y",
        "tokn=hush",
        "type=s3,\"token=hush",
        "https://me:hush@host/x?sig=hush",
    ] {
        let message = given.parse::<CacheSpec>().unwrap_err().to_string();
        assert!(!message.contains("hush"), "{given}: {message}");
    }
    assert_eq!(message("bucket=b,tokn=hush"), "type required for \"bucket=b,tokn=REDACTED\"");
    assert_eq!(message("type=s3,hush"), "invalid value in field 2: it has no =");
}

#[test]
fn display_parses_back() {
    let given = spec("type=local,\"src=a,b\",tag=x");
    assert_eq!(spec(&given.to_string()), given);
}
