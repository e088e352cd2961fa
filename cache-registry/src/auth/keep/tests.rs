//! Files and helpers as people have them, with a login more or less.

use super::*;
use crate::auth::{AuthSource, Credential, find};

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new(text: Option<&str>) -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        if let Some(text) = text {
            fs::write(home.file(), text).unwrap();
        }
        home
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("config.json")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    async fn keep(&self, registry: &str, username: &str, password: &str) -> Result<Option<String>> {
        let reference = Reference::of_registry(registry).unwrap();
        Keeper { file: &self.file(), reference: &reference }.keep(username, password).await
    }

    async fn forget(&self, registry: &str) -> Result<bool> {
        let reference = Reference::of_registry(registry).unwrap();
        Keeper { file: &self.file(), reference: &reference }.forget().await
    }

    async fn found(&self, image: &str) -> Credential {
        let sources = [AuthSource::File(self.file())];
        find(&sources, &Reference::parse(image).unwrap()).await.unwrap().credential
    }
}

#[tokio::test]
async fn a_login_is_found_again_and_the_rest_of_the_file_stays() {
    let before = r#"{"HttpHeaders":{"User-Agent":"x"},"auths":{"h.io":{"auth":"YTpi","email":"e"},"other.io":{"auth":"YTpi"}},"big":1.00000000000000000001}"#;
    let home = Home::new(Some(before));
    assert_eq!(home.keep("h.io", "me", "a:new one").await.unwrap(), None);
    assert_eq!(home.found("h.io/r").await, Credential::password("me", "a:new one"));
    assert_eq!(home.found("other.io/r").await, Credential::password("a", "b"));
    let compact: String = home.text().split_whitespace().collect();
    let entry = format!(r#""h.io":{{"auth":"{}"}}"#, STANDARD.encode("me:a:new one"));
    let wanted = format!(
        r#"{{"HttpHeaders":{{"User-Agent":"x"}},"auths":{{"other.io":{{"auth":"YTpi"}},{entry}}},"big":1.00000000000000000001}}"#
    );
    assert_eq!(compact, wanted);
    assert!(home.forget("h.io").await.unwrap());
    assert!(!home.forget("h.io").await.unwrap());
    assert_eq!(home.found("h.io/r").await, Credential::Anonymous);
    assert_eq!(home.found("other.io/r").await, Credential::password("a", "b"));
}

#[tokio::test]
async fn every_old_key_of_a_registry_is_replaced() {
    let before = r#"{"auths":{"docker.io":{"identitytoken":"i"},"https://index.docker.io/v1/":{"auth":"YTpi"},"https://h.io/v1/":{"auth":"YTpi"}}}"#;
    let home = Home::new(Some(before));
    let _ = home.keep("docker.io", "me", "new").await.unwrap();
    let _ = home.keep("h.io", "me", "new").await.unwrap();
    for image in ["alpine", "h.io/r"] {
        assert_eq!(home.found(image).await, Credential::password("me", "new"), "{image}");
    }
    let text = home.text();
    assert!(text.contains(r#""https://index.docker.io/v1/""#) && !text.contains(r#""docker.io""#), "{text}");
    assert!(home.forget("index.docker.io").await.unwrap());
    assert_eq!(home.found("alpine").await, Credential::Anonymous);
}

#[tokio::test]
async fn a_missing_file_is_created_with_dockers_indentation() {
    let home = Home::new(None);
    assert!(!home.forget("h.io").await.unwrap());
    assert!(!home.file().exists());
    let _ = home.keep("h.io", "a", "b").await.unwrap();
    assert_eq!(home.text(), "{\n\t\"auths\": {\n\t\t\"h.io\": {\n\t\t\t\"auth\": \"YTpi\"\n\t\t}\n\t}\n}\n");
    assert!(home.forget("h.io").await.unwrap());
    assert_eq!(home.text(), "{\n\t\"auths\": {}\n}\n");
    let left = fs::read_dir(home.folder.path()).unwrap().count();
    assert_eq!(left, 1, "nothing is left beside the file");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_not_written() {
    for text in [r#"{"auths":"hush"}"#, "hush", r#"["hush"]"#, r#"{"auths":{"h.io":{"auth":"hush"}"#] {
        let home = Home::new(Some(text));
        for error in [home.keep("h.io", "a", "b").await.unwrap_err(), home.forget("h.io").await.map(drop).unwrap_err()]
        {
            assert_eq!(error.kind(), ErrorKind::Unauthenticated);
            assert!(error.to_string().contains("config.json") && !format!("{error:?}").contains("hush"), "{error:?}");
        }
        assert_eq!(home.text(), text);
    }
}

#[tokio::test]
async fn a_password_does_not_go_into_a_file_that_names_a_helper() {
    let text = r#"{"credsStore":"buildcache-no-such-helper","credHelpers":{"h.io":"buildcache-nor-this"}}"#;
    for (registry, helper) in [("h.io", "buildcache-nor-this"), ("x.io", "buildcache-no-such-helper")] {
        let home = Home::new(Some(text));
        let error = home.keep(registry, "me", "hush").await.unwrap_err();
        assert!(error.hint().unwrap().contains(helper), "{error:?}");
        assert_eq!(home.text(), text);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_its_owners_alone_and_a_link_to_it_stays_one() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new(None);
    let real = home.folder.path().join("dotfiles/docker.json");
    fs::create_dir_all(real.parent().unwrap()).unwrap();
    fs::write(&real, "{}").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink(&real, home.file()).unwrap();
    let _ = home.keep("h.io", "a", "b").await.unwrap();
    assert!(fs::symlink_metadata(home.file()).unwrap().is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(home.found("h.io/r").await, Credential::password("a", "b"));
}

#[cfg(unix)]
#[tokio::test]
async fn logins_at_the_same_time_are_all_kept() {
    let home = Home::new(None);
    let names: Vec<String> = (0..16).map(|at| format!("h{at}.io")).collect();
    let kept = futures_util::future::join_all(names.iter().map(|name| home.keep(name, "a", "b"))).await;
    assert!(kept.iter().all(Result::is_ok), "{kept:?}");
    for name in &names {
        assert_eq!(home.found(&format!("{name}/r")).await, Credential::password("a", "b"), "{name}");
    }
}
