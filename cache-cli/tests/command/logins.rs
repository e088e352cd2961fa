//! Where logins are searched, in which order, and that errors name the login that was used.

use std::fs;

use cache_tests::base64::base64;
use cache_tests::servers::registry::{Access, Account, Options, Server};

use crate::sandbox::{Run, Sandbox};

const RIGHT: &str = "right-horse-7";
const WRONG: &str = "wrong-horse-8";
const DENIED: i32 = 5;

/// Docker's config for a password, and a registry that accepts only [`RIGHT`].
struct Login {
    sandbox: Sandbox,
    server: Server,
}

impl Login {
    fn new() -> Self {
        let server = Server::start(Access::Basic(Account::new("tester", RIGHT)), Options::default());
        Self { sandbox: Sandbox::with("v0.32/max-manifest"), server }
    }

    fn text(&self, password: &str) -> String {
        let auth = base64(format!("tester:{password}").as_bytes());
        format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, self.server.host())
    }

    /// Writes a file, and returns its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.sandbox.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn copy(&self, variables: &[(&str, &str)]) -> Run {
        let spec = format!("type=registry,ref={}/team/cache:main", self.server.host());
        let mut command = self.sandbox.command(&["copy", "-vv", "type=local,src=a", &spec]);
        let home = self.sandbox.path("nowhere").display().to_string();
        command.env_clear().envs([("HOME", &*home), ("PATH", "/usr/bin:/bin")]).envs(variables.iter().copied());
        let run = Run::from(command.output().unwrap());
        assert!(![RIGHT, WRONG].iter().any(|secret| run.stderr.contains(secret)), "a password is shown");
        run
    }
}

#[test]
fn every_place_of_docker_and_podman_is_searched() {
    let login = Login::new();
    let text = login.text(RIGHT);
    let folder = |name: &str| login.sandbox.path(name).display().to_string();
    let file = login.file("podman.json", &text);
    login.file("docker/config.json", &text);
    login.file("home/.docker/config.json", &text);
    login.file("run/containers/auth.json", &text);
    for (variable, value) in [
        ("DOCKER_AUTH_CONFIG", &text),
        ("REGISTRY_AUTH_FILE", &file),
        ("DOCKER_CONFIG", &folder("docker")),
        ("HOME", &folder("home")),
        ("XDG_RUNTIME_DIR", &folder("run")),
    ] {
        let run = login.copy(&[(variable, value)]);
        assert_eq!(run.code, 0, "{variable}: {}", run.stderr);
    }
}

#[test]
fn the_first_login_is_used_and_named_if_it_is_refused() {
    let login = Login::new();
    let (right, wrong) = (login.text(RIGHT), login.text(WRONG));
    let (file, bad_file) = (login.file("right.json", &right), login.file("wrong.json", &wrong));
    assert_eq!(login.copy(&[("DOCKER_AUTH_CONFIG", &right), ("REGISTRY_AUTH_FILE", &bad_file)]).code, 0);
    // A config without the registry is skipped.
    assert_eq!(login.copy(&[("DOCKER_AUTH_CONFIG", "{}"), ("REGISTRY_AUTH_FILE", &file)]).code, 0);
    let missing = login.file("helper.json", r#"{"credsStore":"buildcache-no-such-helper"}"#);
    for (variables, said) in [
        (vec![("DOCKER_AUTH_CONFIG", &*wrong), ("REGISTRY_AUTH_FILE", &*file)], "$DOCKER_AUTH_CONFIG"),
        (vec![("REGISTRY_AUTH_FILE", &*bad_file)], "wrong.json"),
        (vec![("REGISTRY_AUTH_FILE", &*missing)], "docker-credential-buildcache-no-such-helper"),
        (vec![("DOCKER_AUTH_CONFIG", "no JSON")], "$DOCKER_AUTH_CONFIG"),
        (vec![], "docker login"),
    ] {
        let run = login.copy(&variables);
        assert_eq!(run.code, DENIED, "{said}: {}", run.stderr);
        assert!(run.stderr.contains(said), "{said}: {}", run.stderr);
    }
}
