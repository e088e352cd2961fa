//! Signals: the program ends, after uploads under way have finished.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use cache_tests::servers::actions::{Options, Server, mint};
use cache_tests::servers::http::{Fault, Method, Plan};
use cache_tests::servers::registry::{self, Access};

use crate::sandbox::{Run, Sandbox};

fn spec(server: &Server) -> String {
    let token = mint(&[("refs/heads/main", 3)], Duration::from_secs(3_600));
    format!("type=gha,url_v2={},token={token},scope=app", server.url())
}

/// Starts a copy whose uploads are held, and waits for the first one.
fn copying(sandbox: &Sandbox, server: &Server) -> Child {
    server.plan(Plan::new(Method::PUT, "actions-cache/", Fault::Hold).times(100));
    let mut command = sandbox.command(&["copy", "type=local,src=a", &spec(server)]);
    let mut copy = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !server.take_log().iter().any(|logged| logged.method == Method::PUT) && copy.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    copy
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Keys that are reserved and not finalised.
fn locked(server: &Server) -> Vec<String> {
    server.entries(|entries| entries.iter().filter(|entry| !entry.is_ready).map(|entry| entry.key.clone()).collect())
}

#[test]
fn every_signal_lets_uploads_end_and_leaves_no_key_locked() {
    for name in ["-INT", "-TERM", "-HUP"] {
        let (sandbox, server) = (Sandbox::with("v0.32/max-manifest"), Server::start(Options::default()));
        let copy = copying(&sandbox, &server);
        signal(&copy, name);
        // The uploads are released when the program says that it waits for them.
        let (copy, said) = Said::until(copy, "finished first");
        server.release();
        let run = copy.end();
        assert_eq!(run.code, 130, "{name}: {said}{}", run.stderr);
        assert_eq!(locked(&server), Vec::<String>::new(), "{name}");
        let again = sandbox.run(&["copy", "type=local,src=a", &spec(&server)]);
        assert_eq!(again.code, 0, "{}", again.stderr);
        assert_eq!(sandbox.run(&["verify", &spec(&server)]).code, 0);
    }
}

#[test]
fn the_second_signal_ends_at_once() {
    let (sandbox, server) = (Sandbox::with("v0.32/max-manifest"), Server::start(Options::default()));
    let copy = copying(&sandbox, &server);
    signal(&copy, "-TERM");
    let (copy, _) = Said::until(copy, "finished first");
    signal(&copy.0, "-INT");
    assert_eq!(copy.end().code, 130);
    assert!(!locked(&server).is_empty());
}

/// The verbs, with `SPEC` in place of the spec of a cache.
const VERBS: [&[&str]; 16] = [
    &["copy", "SPEC", "type=local,dest=b"],
    &["inspect", "SPEC"],
    &["ls", "SPEC"],
    &["du", "SPEC"],
    &["verify", "SPEC"],
    &["repair", "SPEC"],
    &["merge", "SPEC", "type=local,src=a", "--to", "type=local,dest=b"],
    &["optimize", "SPEC"],
    &["diff", "type=local,src=a", "SPEC"],
    &["explain", "type=local,src=a", "SPEC"],
    &["report", "SPEC", "-o", "b"],
    &["graph", "SPEC"],
    &["rm", "-f", "SPEC"],
    &["prune", "-f", "SPEC"],
    &["doctor", "SPEC"],
    &["login", "-u", "me", "--password-stdin", "HOST"],
];

#[test]
fn every_verb_ends_at_a_signal_and_leaves_nothing() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    let help = sandbox.run(&["--help"]).stdout;
    let named = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let named: Vec<&str> = named.filter_map(|line| line.split_whitespace().next()).collect();
    let tried: Vec<&str> =
        VERBS.iter().map(|verb| verb[0]).chain(["logout", "specs", "completions", "man", "help"]).collect();
    assert_eq!(named, tried);
    for (verb, name) in VERBS.iter().flat_map(|verb| [(verb, "-TERM"), (verb, "-HUP")]) {
        let server = registry::Server::start(Access::Open, registry::Options::default());
        server.plan(Plan::everywhere(Fault::Hold));
        let spec = format!("type=registry,ref={}/team/cache:main", server.host());
        let host = server.host();
        let place = |word: &'static str| match word {
            "SPEC" => spec.as_str(),
            "HOST" => host.as_str(),
            word => word,
        };
        let args: Vec<&str> = verb.iter().copied().map(place).collect();
        std::fs::write(sandbox.path("password"), "hush").unwrap();
        let mut command = sandbox.command(&args);
        command
            .stdin(std::fs::File::open(sandbox.path("password")).unwrap())
            .env("DOCKER_CONFIG", sandbox.path("docker"));
        let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while server.take_log().is_empty() && running.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        signal(&running, name);
        let run = Run::from(running.wait_with_output().unwrap());
        assert_eq!((run.code, &*run.stdout), (130, ""), "{args:?} {name}: {}", run.stderr);
        assert!(run.stderr.contains("error: interrupted"), "{args:?} {name}: {}", run.stderr);
        assert!(!sandbox.path("docker").exists(), "{args:?} {name}");
        assert!(!sandbox.path("b").join("index.json").exists() && !sandbox.path("b").is_file(), "{args:?} {name}");
    }
}

/// Reading a pipe without a writer is a call that cannot be dropped.
#[test]
fn a_signal_ends_a_verb_that_reads_from_a_pipe() {
    let sandbox = Sandbox::with("v0.32/max-manifest");
    assert!(Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap().success());
    let reading: [&[&str]; 3] = [
        &["explain", "type=local,src=a", "--log", "pipe"],
        &["prune", "-f", "--apply", "pipe", "type=local,src=a"],
        &["ls", "type=s3,bucket=b,region=r,access_key_id=a,secret_access_key=@pipe"],
    ];
    for args in reading {
        let running = sandbox.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // This returns once the program has opened its end.
        let pipe = std::fs::File::options().write(true).open(sandbox.path("pipe")).unwrap();
        signal(&running, "-TERM");
        let run = Run::from(running.wait_with_output().unwrap());
        drop(pipe);
        assert_eq!(run.code, 130, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains("error: interrupted"), "{args:?}: {}", run.stderr);
    }
}

/// A running program whose stderr is read line by line.
struct Said(Child, BufReader<ChildStderr>);

impl Said {
    /// Reads lines up to one with this text.
    fn until(mut child: Child, text: &str) -> (Self, String) {
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains(text) && stderr.read_line(&mut said).unwrap() > 0 {}
        (Self(child, stderr), said)
    }

    fn end(mut self) -> Run {
        let mut rest = String::new();
        self.1.read_to_string(&mut rest).unwrap();
        let mut run = Run::from(self.0.wait_with_output().unwrap());
        run.stderr = rest;
        run
    }
}
