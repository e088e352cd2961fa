//! Credentials as people have them.

use cache_kit::Secret;

use super::*;

async fn find_in(files: &[&str], reference: &str) -> Result<Credential> {
    Ok(login_in(files, reference).await?.credential)
}

async fn login_in(files: &[&str], reference: &str) -> Result<Login> {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..=files.len()).map(|at| dir.path().join(format!("{at}.json"))).collect();
    for (path, text) in paths.iter().zip(files) {
        std::fs::write(path, text).unwrap();
    }
    // The last path does not exist.
    let sources: Vec<AuthSource> = paths.into_iter().map(AuthSource::File).collect();
    find(&sources, &Reference::parse(reference).unwrap()).await
}

fn auth(text: &str) -> String {
    format!(r#"{{"auth":"{}"}}"#, STANDARD.encode(text))
}

#[tokio::test]
async fn a_password_is_found_by_host_and_port() {
    let file = format!(r#"{{"auths":{{"h:5000":{},"h":{}}}}}"#, auth("a:b:c"), auth("x:y"));
    assert_eq!(find_in(&[&file], "h:5000/r").await.unwrap(), Credential::password("a", "b:c"));
    assert_eq!(find_in(&[&file], "ghcr.io/r").await.unwrap(), Credential::Anonymous);
}

#[tokio::test]
async fn docker_hub_has_an_old_key() {
    let file = format!(r#"{{"auths":{{"https://index.docker.io/v1/":{}}}}}"#, auth("a:b"));
    assert_eq!(find_in(&[&file], "alpine").await.unwrap(), Credential::password("a", "b"));
    let file = format!(r#"{{"auths":{{"docker.io":{}}}}}"#, auth("c:d"));
    assert_eq!(find_in(&[&file], "alpine").await.unwrap(), Credential::password("c", "d"));
}

#[tokio::test]
async fn the_closest_key_of_podman_counts_and_old_urls_do_too() {
    let file = format!(r#"{{"auths":{{"ghcr.io":{},"ghcr.io/team":{}}}}}"#, auth("a:b"), auth("c:d"));
    assert_eq!(find_in(&[&file], "ghcr.io/team/r").await.unwrap(), Credential::password("c", "d"));
    assert_eq!(find_in(&[&file], "ghcr.io/teams/r").await.unwrap(), Credential::password("a", "b"));
    let file = format!(r#"{{"auths":{{"https://ghcr.io/v2/":{}}}}}"#, auth("a:b"));
    assert_eq!(find_in(&[&file], "ghcr.io/team/r").await.unwrap(), Credential::password("a", "b"));
}

#[tokio::test]
async fn tokens_go_before_passwords_and_the_first_file_before_the_second() {
    let token = r#"{"auths":{"h":{"auth":"YTpi","identitytoken":"i"}}}"#;
    assert_eq!(find_in(&[token], "h/r").await.unwrap(), Credential::Anonymous, "h is a part of a name here");
    let token = r#"{"auths":{"h.io":{"auth":"YTpi","identitytoken":"i"}}}"#;
    let other = r#"{"auths":{"h.io":{"registrytoken":"r"}}}"#;
    assert_eq!(find_in(&[token, other], "h.io/r").await.unwrap(), Credential::IdentityToken("i".to_owned()));
    assert_eq!(find_in(&["{}", "", other, token], "h.io/r").await.unwrap(), Credential::RegistryToken("r".to_owned()));
    let split = r#"{"auths":{"h.io":{"username":"a","password":"b"}},"credsStore":"","credHelpers":null}"#;
    assert_eq!(find_in(&[r#"{"auths":{"h.io":{}}}"#, split], "h.io/r").await.unwrap(), Credential::password("a", "b"));
}

#[tokio::test]
async fn a_broken_file_is_an_error_that_does_not_quote_it() {
    for file in
        [r#"{"auths":{"h.io":{"auth":"hush!"}}}"#, r#"{"auths":"hush"}"#, r#"{"auths":{"h.io":{"auth":"YWI="}}}"#]
    {
        let error = find_in(&[file], "h.io/r").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert!(error.to_string().contains("0.json") && !format!("{error:?}").contains("hush"), "{error:?}");
    }
}

#[tokio::test]
async fn a_variable_has_the_format_of_the_file() {
    let text = format!(r#"{{"auths":{{"h.io":{}}}}}"#, auth("a:hush"));
    let variable = |text: &str| [AuthSource::Variable("DOCKER_AUTH_CONFIG", Secret::new(text))];
    let reference = Reference::parse("h.io/r").unwrap();
    let login = find(&variable(&text), &reference).await.unwrap();
    assert_eq!(login.credential, Credential::password("a", "hush"));
    let error = find(&variable("hush"), &reference).await.unwrap_err();
    assert!(error.to_string().contains("$DOCKER_AUTH_CONFIG") && !format!("{error:?}").contains("hush"), "{error:?}");
}

#[tokio::test]
async fn an_error_says_which_login_was_refused() {
    let explained = |login: Login| {
        let error = login.explain(error::new(ErrorKind::Unauthenticated, "no"), "h.io");
        (error.context("login").unwrap().to_owned(), error.hint().unwrap().to_owned())
    };
    let wrong = explained(login_in(&[r#"{"auths":{"h.io":{"auth":"YTpi"}}}"#], "h.io/r").await.unwrap());
    assert!(wrong.0.ends_with("0.json") && wrong.1.contains("not accepted"), "{wrong:?}");
    let missing = explained(login_in(&[r#"{"credsStore":"buildcache-no-such-helper"}"#], "h.io/r").await.unwrap());
    let helper = "docker-credential-buildcache-no-such-helper";
    assert!(missing.0.contains(helper) && missing.0.contains("0.json") && missing.1.contains("install"), "{missing:?}");
    let none = explained(login_in(&["{}"], "h.io/r").await.unwrap());
    assert!(none.0.starts_with("none in ") && none.0.contains("0.json") && none.1.contains("docker login"), "{none:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_helper_is_asked_and_one_that_does_not_exist_knows_nothing() {
    let file = r#"{"credsStore":"buildcache-no-such-helper","auths":{"h.io":{"auth":"YTpi"}}}"#;
    assert_eq!(find_in(&[file], "h.io/r").await.unwrap(), Credential::password("a", "b"));
}
