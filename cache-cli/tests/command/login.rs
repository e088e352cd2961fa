//! `login` and `logout`: where a login is stored, and that no password is shown.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use cache_tests::servers::registry::{Access, Account, Options, Server};
use serde_json::Value;

use crate::sandbox::{Run, Sandbox};

const RIGHT: &str = "right-horse-7";
const DENIED: i32 = 5;
const USAGE: i32 = 2;

/// A registry that accepts only [`RIGHT`], and a user with a `config.json`.
struct Person {
    sandbox: Sandbox,
    server: Server,
}

impl Person {
    fn new(access: fn(Account) -> Access) -> Self {
        let server = Server::start(access(Account::new("tester", RIGHT)), Options::default());
        Self { sandbox: Sandbox::with("v0.32/max-manifest"), server }
    }

    fn with_config(text: &str) -> Self {
        let person = Self::new(Access::Basic);
        fs::create_dir_all(person.sandbox.path("docker")).unwrap();
        fs::write(person.sandbox.path("docker/config.json"), text).unwrap();
        person
    }

    /// Runs the program with this stdin, and only these variables.
    fn run(&self, args: &[&str], stdin: &str, variables: &[(&str, &str)]) -> Run {
        let folder = |name: &str| self.sandbox.path(name).display().to_string();
        let mut command = self.sandbox.command(args);
        command.env_clear().envs([("HOME", folder("nowhere")), ("DOCKER_CONFIG", folder("docker"))]);
        command.env("PATH", format!("{}:/usr/bin:/bin", folder("bin"))).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that refuses its arguments does not read it.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let run = Run::from(child.wait_with_output().unwrap());
        assert!(stdin.trim().is_empty() || !format!("{}{}", run.stdout, run.stderr).contains(stdin.trim()), "shown");
        run
    }

    fn log_in(&self, password: &str, more: &[&str]) -> Run {
        let host = self.server.host();
        self.run(&[&["login", "-vv", "-u", "tester", "--password-stdin", &host], more].concat(), password, &[])
    }

    fn copy(&self, more: &[&str]) -> Run {
        let spec = format!("type=registry,ref={}/team/cache:main", self.server.host());
        self.run(&[&["copy", "type=local,src=a", &spec], more].concat(), "", &[])
    }

    fn config(&self) -> String {
        fs::read_to_string(self.sandbox.path("docker/config.json")).unwrap_or_default()
    }

    /// A helper that stores one login in a file.
    #[cfg(unix)]
    fn install_helper(&self, name: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.sandbox.path(&format!("bin/docker-credential-{name}"));
        let kept = self.sandbox.path("kept").display().to_string();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let script = format!(
            "#!/bin/sh\ncase $1 in\nstore) cat > '{kept}' ;;\nerase) cat > /dev/null; rm '{kept}' ;;\nget) cat '{kept}' 2>/dev/null || \
             {{ echo 'credentials not found in native keychain'; exit 1; }} ;;\nesac\n"
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_login_is_found_by_the_other_verbs_until_the_logout() {
    for access in [Access::Basic, Access::Token] {
        let person = Person::new(access);
        let host = person.server.host();
        assert_eq!(person.copy(&[]).code, DENIED);
        let run = person.log_in(&format!("{RIGHT}\n"), &[]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(run.stdout.starts_with(&format!("logged in to {host} as tester: kept in ")), "{}", run.stdout);
        assert!(run.stdout.trim_end().ends_with("docker/config.json"), "{}", run.stdout);
        assert_eq!(person.copy(&[]).code, 0);
        let run = person.run(&["logout", &host], "", &[]);
        assert_eq!((run.code, run.stdout.starts_with("logged out of ")), (0, true), "{}", run.stdout);
        assert_eq!(person.copy(&[]).code, DENIED);
        let run = person.run(&["logout", &host], "", &[]);
        assert_eq!((run.code, run.stdout.starts_with("there was no login")), (0, true), "{}", run.stdout);
    }
}

#[cfg(unix)]
#[test]
fn a_file_with_a_password_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let person = Person::with_config(r#"{"psFormat":"x","auths":{"ghcr.io":{"auth":"YTpi"}}}"#);
    let run = person.log_in(RIGHT, &[]);
    assert!(run.stderr.contains("unencrypted"), "{}", run.stderr);
    let config: Value = serde_json::from_str(&person.config()).unwrap();
    assert_eq!((&config["psFormat"], &config["auths"]["ghcr.io"]["auth"]), (&"x".into(), &"YTpi".into()));
    let mode = |name: &str| fs::metadata(person.sandbox.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("docker/config.json"), 0o600);
    // A new folder is private too.
    let person = Person::new(Access::Basic);
    assert_eq!(person.log_in(RIGHT, &[]).code, 0);
    assert_eq!(fs::metadata(person.sandbox.path("docker")).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_refused_login_is_not_stored() {
    for access in [Access::Basic, Access::Token] {
        let person = Person::new(access);
        let run = person.log_in("wrong-horse-8", &[]);
        assert_eq!(run.code, DENIED, "{}", run.stderr);
        assert!(!person.sandbox.path("docker").exists());
    }
}

#[test]
fn a_password_comes_on_stdin_only() {
    let person = Person::new(Access::Basic);
    let host = person.server.host();
    for (args, stdin) in [
        (vec!["login", "-u", "tester", &host], RIGHT),
        (vec!["login", "-u", "tester", "--password", "hush", &host], ""),
        (vec!["login", "--password-stdin", &host], RIGHT),
        (vec!["login", "-u", "tester", "--password-stdin", &host], "\n"),
        (vec!["login", "-u", "a:b", "--password-stdin", &host], RIGHT),
        (vec!["login", "-u", "tester", "--password-stdin", "ghcr"], RIGHT),
        (vec!["login", "-u", "tester", "--password-stdin", "ghcr.io/me/app:cache"], RIGHT),
    ] {
        let run = person.run(&args, stdin, &[]);
        assert_eq!(run.code, USAGE, "{args:?}: {}", run.stderr);
        assert!(!run.stderr.contains("hush") && !person.sandbox.path("docker").exists(), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn the_first_file_is_the_one_that_is_written() {
    let person = Person::with_config("{}");
    let (host, file) = (person.server.host(), person.sandbox.path("ci/auth.json").display().to_string());
    assert_eq!(person.log_in(RIGHT, &["--authfile", &file]).code, 0);
    assert_eq!((person.config().as_str(), person.copy(&[]).code), ("{}", DENIED));
    assert_eq!(person.copy(&["--authfile", &file]).code, 0);
    // The same with Podman's variable.
    let login = ["login", "-u", "tester", "--password-stdin", "-o", "json", &host];
    let run = person.run(&login, RIGHT, &[("REGISTRY_AUTH_FILE", &*file)]);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&document["file"], &document["isChecked"]), (&Value::from(file), &true.into()));
    // A warning says if the login will not be found.
    let other = format!(r#"{{"auths":{{"{host}":{{"auth":"YTpi"}}}}}}"#);
    let run = person.run(&login, RIGHT, &[("DOCKER_AUTH_CONFIG", &*other)]);
    assert!(run.stderr.contains("$DOCKER_AUTH_CONFIG"), "{}", run.stderr);
    let run = person.run(&["logout", "-o", "json", &host], "", &[("DOCKER_AUTH_CONFIG", &*other)]);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&document["wasThere"], &document["left"]), (&true.into(), &"$DOCKER_AUTH_CONFIG".into()));
}

#[cfg(unix)]
#[test]
fn a_helper_keeps_the_password_where_the_file_names_one() {
    for form in ["store", "helper"] {
        let person = Person::with_config("{}");
        let host = person.server.host();
        let config = match form {
            "store" => r#"{"credsStore":"testing"}"#.to_owned(),
            _ => format!(r#"{{"credsStore":"buildcache-no-such-helper","credHelpers":{{"{host}":"testing"}}}}"#),
        };
        fs::write(person.sandbox.path("docker/config.json"), config).unwrap();
        assert_eq!(person.log_in(RIGHT, &[]).code, DENIED, "it is not installed");
        person.install_helper("testing");
        let run = person.log_in(RIGHT, &[]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(run.stdout.contains("docker-credential-testing"), "{}", run.stdout);
        let kept: Value = serde_json::from_slice(&fs::read(person.sandbox.path("kept")).unwrap()).unwrap();
        assert_eq!(kept, serde_json::json!({ "ServerURL": host, "Username": "tester", "Secret": RIGHT }));
        let config: Value = serde_json::from_str(&person.config()).unwrap();
        assert_eq!(config["auths"], serde_json::json!({ host.as_str(): {} }));
        assert_eq!(person.copy(&[]).code, 0);
        assert_eq!(person.run(&["logout", &host], "", &[]).code, 0);
        assert!(!person.sandbox.path("kept").exists());
        assert_eq!(serde_json::from_str::<Value>(&person.config()).unwrap()["auths"], serde_json::json!({}));
    }
}

#[test]
fn an_open_registry_does_not_check_the_login() {
    let person = Person::new(|_| Access::Open);
    let run = person.log_in("anything", &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("lets everybody in"), "{}", run.stderr);
}
