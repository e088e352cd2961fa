//! Attributes and variables, and who wins.

use super::*;

const URL: &str = "https://acc.blob.core.windows.net";
const KEY: &str = "aHVzaC1rZXk=";

fn parse(spec: &str, variables: &[(&str, &str)]) -> Result<AzblobConfig> {
    let environment = variables.iter().fold(Environment::new(), |all, (name, value)| all.with_variable(*name, *value));
    AzblobConfig::from_spec(&spec.parse().unwrap(), environment)
}

fn refused(spec: &str, variables: &[(&str, &str)]) -> Option<String> {
    let error = parse(spec, variables).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSpec, "{error}");
    error.context("attribute").map(str::to_owned)
}

#[test]
fn the_defaults_are_those_of_buildkit() {
    let config = parse(&format!("type=azblob,account_url={URL}"), &[]).unwrap();
    assert_eq!((config.container(), config.keys()), ("buildkit-cache", &Keys::default()));
    assert_eq!(config.signing_name().unwrap(), "acc");
}

#[test]
fn the_variables_stand_in_for_attributes() {
    let variables = [(ACCOUNT_URL, URL), (ACCOUNT_NAME, "other"), (CONTAINER, "box"), (PREFIX, "team")];
    let config = parse("type=azblob,name=main", &variables).unwrap();
    assert_eq!((config.container(), config.signing_name().unwrap().as_str()), ("box", "other"));
    assert_eq!(config.keys().manifests(), ["team/manifests/main"]);
    let config =
        parse(&format!("type=azblob,account_url={URL}/x,container=cab,prefix=p,account_name=n"), &variables).unwrap();
    assert_eq!((config.account().to_string(), config.container()), (format!("{URL}/x"), "cab"));
    assert_eq!((config.keys().first(), config.signing_name().unwrap().as_str()), ("p/manifests/buildkit", "n"));
}

#[test]
fn an_attribute_that_is_there_and_empty_beats_a_variable() {
    let variables = [(ACCOUNT_URL, URL), (ACCOUNT_NAME, "other"), (CONTAINER, "box"), (PREFIX, "team")];
    assert_eq!(parse("type=azblob,prefix=", &variables).unwrap().keys(), &Keys::default());
    assert_eq!(refused("type=azblob,account_url=", &variables), Some("account_url".to_owned()));
    assert_eq!(refused("type=azblob,account_name=", &variables), Some("account_name".to_owned()));
    assert_eq!(refused("type=azblob,container=", &variables), Some("container".to_owned()));
    let config = parse("type=azblob,secret_access_key=", &variables).unwrap();
    assert!(matches!(config.access(), Ok(Access::Token)));
}

#[test]
fn bad_values_are_refused() {
    assert_eq!(refused("type=azblob,container=box", &[]), Some("account_url".to_owned()));
    assert_eq!(refused("type=azblob,account_url=nowhere", &[]), Some("account_url".to_owned()));
    for container in ["ab", "Box", "a--b", "-ab", "a/b", &"x".repeat(64)] {
        assert_eq!(
            refused(&format!("type=azblob,account_url={URL},container={container}"), &[]),
            Some("container".to_owned())
        );
    }
    assert_eq!(
        refused(&format!("type=azblob,account_url={URL},secret_access_key=no!"), &[]),
        Some("secret_access_key".to_owned())
    );
    let error = parse(&format!("type=azblob,account_url={URL},acount_name=a"), &[]).unwrap_err();
    assert_eq!((error.context("unknown"), error.hint()), (Some("acount_name"), Some("did you mean account_name?")));
}

#[test]
fn a_token_is_not_sent_in_the_clear() {
    let error = parse("type=azblob,account_url=http://acc.example", &[]).unwrap_err();
    assert!(error.to_string().contains("only sent over https"), "{error}");
    assert!(parse(&format!("type=azblob,account_url=http://acc.example,secret_access_key={KEY}"), &[]).is_ok());
    assert!(parse("type=azblob,account_url=http://acc.example?sig=x", &[]).is_ok());
}

#[test]
fn an_address_does_not_say_the_account() {
    let spec = format!("type=azblob,account_url=http://127.0.0.1:10000/dev,secret_access_key={KEY}");
    assert_eq!(refused(&spec, &[]), Some("account_name".to_owned()));
    assert!(
        matches!(parse(&format!("{spec},account_name=dev"), &[]).unwrap().access(), Ok(Access::Key(name, _)) if name == "dev")
    );
}

#[test]
fn a_signature_and_a_key_are_too_much() {
    let spec = format!("type=azblob,account_url={URL}?sig=x,secret_access_key={KEY}");
    assert_eq!(refused(&spec, &[]), Some("secret_access_key".to_owned()));
}

#[test]
fn secrets_may_be_kept_elsewhere() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{KEY}\n")).unwrap();
    let spec = format!("type=azblob,account_url=env:PLACE,secret_access_key=@{}", file.path().display());
    let config = parse(&spec, &[("PLACE", URL)]).unwrap();
    assert!(matches!(config.access(), Ok(Access::Key(name, key)) if name == "acc" && key.bytes() == b"hush-key"));
    assert_eq!(refused(&spec, &[]), Some("account_url".to_owned()));
    let absent = format!("type=azblob,account_url={URL},secret_access_key=@/no/such/file");
    assert_eq!(refused(&absent, &[]), Some("secret_access_key".to_owned()));
}

#[test]
fn no_secret_is_shown() {
    let config =
        parse(&format!("type=azblob,account_url={URL},secret_access_key={KEY}"), &[("X", "hush-variable")]).unwrap();
    let shown = format!("{config:?} {:?}", config.access());
    assert!(!shown.contains(KEY) && !shown.contains("hush"), "{shown}");
}

#[test]
fn blobs_have_no_more_blocks_than_azure_takes() {
    let environment = Environment::new().tune(|tuning| tuning.with_parts(PartLimits::default().with_max_parts(90_000)));
    assert_eq!(environment.parts().max_parts(), 50_000);
    assert_eq!(Environment::new().parts().max_parts(), 50_000);
}
