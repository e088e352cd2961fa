//! The rules by which a service is chosen.

use super::*;

/// `{"ac":"[{\"Scope\":\"refs/heads/main\",\"Permission\":3}]","exp":4000000000,"nbf":0}`
const TOKEN_TEXT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJhYyI6Ilt7XCJTY29wZVwiOlwicmVmcy9oZWFkcy9tYWluXCIsXCJQZXJtaXNzaW9uXCI6M31dIiwiZXhwIjo0MDAwMDAwMDAwLCJuYmYiOjB9.c2ln";

fn config(attributes: &str, variables: &[(&str, &str)]) -> Result<GhaConfig> {
    let spec = format!("type=gha{attributes}").parse().unwrap();
    let value = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    GhaConfig::from_spec(&spec, Environment::of(value))
}

/// The interface and the host that are chosen.
fn chosen(attributes: &str, variables: &[(&str, &str)]) -> Option<(ApiVersion, String)> {
    let variables = [variables, &[(TOKEN, TOKEN_TEXT)]].concat();
    let config = config(attributes, &variables).ok()?;
    let endpoint = config.endpoint().ok()?;
    Some((endpoint.api, endpoint.url.host_str()?.to_owned()))
}

#[test]
fn attributes_choose_the_interface_as_the_daemon_does() {
    let cases = [
        (",url_v2=http://b/", ApiVersion::V2, "b"),
        (",url=http://a/,url_v2=http://b/", ApiVersion::V2, "b"),
        (",url=http://a/,url_v2=", ApiVersion::V2, "a"),
        (",url=http://a/", ApiVersion::V1, "a"),
        (",url=http://a/,version=2", ApiVersion::V2, "a"),
        (",url=http://a/,version=3", ApiVersion::V2, "a"),
        (",url=http://a/,url_v2=http://b/,version=1", ApiVersion::V1, "a"),
        (
            ",url=https://results-receiver.actions.githubusercontent.com/",
            ApiVersion::V2,
            "results-receiver.actions.githubusercontent.com",
        ),
    ];
    for (attributes, api, host) in cases {
        assert_eq!(chosen(attributes, &[]), Some((api, host.to_owned())), "{attributes}");
    }
    assert_eq!(chosen(",version=1,url_v2=http://b/", &[]), None);
    assert_eq!(chosen("", &[]), None);
}

#[test]
fn variables_fill_in_as_the_clients_do() {
    let both = [(RESULTS_URL, "http://results/"), (CACHE_URL, "http://cache/")];
    let with = |v2: &'static str| [&both[..], &[(SERVICE_V2, v2)]].concat();
    let cases = [
        ("", with("true"), ApiVersion::V2, "results"),
        ("", with("1"), ApiVersion::V2, "results"),
        ("", with("yes"), ApiVersion::V1, "cache"),
        ("", both.to_vec(), ApiVersion::V1, "cache"),
        (",version=2", both.to_vec(), ApiVersion::V2, "results"),
        (",version=1", with("true"), ApiVersion::V1, "cache"),
        (",url_v2=http://b/", with("true"), ApiVersion::V2, "b"),
        ("", vec![both[0]], ApiVersion::V1, "results"),
    ];
    for (attributes, variables, api, host) in cases {
        assert_eq!(chosen(attributes, &variables), Some((api, host.to_owned())), "{attributes} {variables:?}");
    }
}

#[test]
fn a_missing_value_names_its_variable() {
    for (attributes, variables) in [("", vec![]), (",url=http://a/", vec![]), ("", vec![(TOKEN, TOKEN_TEXT)])] {
        let error = config(attributes, &variables).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSpec);
        assert!(error.hint().unwrap().contains("ACTIONS_RUNTIME_TOKEN"), "{error}");
    }
}

#[test]
fn a_bad_value_is_refused_and_names_its_attribute() {
    let cases = [
        ("version", ",version=x"),
        ("version", ",version=0"),
        ("timeout", ",timeout=5"),
        ("url", ",url=ftp://a"),
        ("url_v2", ",url_v2=a"),
        ("token", ",token=hush"),
        ("repository", ",repository=a,ghtoken=hush"),
        ("repository", ",ghtoken=hush"),
        ("ghtoken", ",repository=a/b"),
        ("scope", ",\"scope=a,b\""),
        ("ghtoken", ",repository=a/b,ghtoken=env:CACHE_GHA_TESTS_NO_SUCH_VARIABLE"),
    ];
    for (attribute, attributes) in cases {
        let error = config(attributes, &[(TOKEN, TOKEN_TEXT), (RESULTS_URL, "http://a/")]).unwrap_err();
        assert_eq!((error.kind(), error.context("attribute")), (ErrorKind::InvalidSpec, Some(attribute)), "{error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
    assert_eq!(config(",nope=1", &[]).unwrap_err().context("unknown"), Some("nope"));
}

#[test]
fn a_secret_may_be_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, format!("{TOKEN_TEXT}\n")).unwrap();
    let config = config(&format!(",url=http://a/,token=@{}", path.display()), &[]).unwrap();
    assert_eq!(config.endpoint().unwrap().token.written(), Some("refs/heads/main"));
}

#[test]
fn the_rest_api_is_that_of_the_runner() {
    let repository = |variables: &[(&str, &str)]| {
        let variables = [variables, &[(TOKEN, TOKEN_TEXT), (RESULTS_URL, "http://a/")]].concat();
        config(",repository=o/r,ghtoken=x", &variables).unwrap().repository().unwrap().api.to_string()
    };
    assert_eq!(repository(&[]), "https://api.github.com/");
    assert_eq!(repository(&[("GITHUB_API_URL", "https://ghe/api/v3")]), "https://ghe/api/v3");
}

#[test]
fn a_store_needs_no_service() {
    let spec = "type=gha,repository=o/r,ghtoken=x".parse().unwrap();
    let config = GhaConfig::from_store_spec(&spec, Environment::new()).unwrap();
    assert!(config.endpoint().is_err() && config.repository().is_some());
}

#[test]
fn nothing_secret_is_shown() {
    let config = config(",repository=o/r,ghtoken=hush", &[(TOKEN, TOKEN_TEXT), (RESULTS_URL, "http://a/")]).unwrap();
    let shown = format!("{config:?} {:?}", config.environment());
    assert!(!shown.contains("hush") && !shown.contains(TOKEN_TEXT), "{shown}");
}
