//! The commands that start servers. Each writes the files that its server needs.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Place;
use super::place::free_port;

const ACT: &str = include_str!("act.sh");
const AZURITE_OAUTH: &str = include_str!("azurite_oauth.sh");
const JUICEFS: &str = include_str!("juicefs.sh");

pub(super) fn command(program: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words);
    command
}

pub(super) fn distribution(program: &Path, place: &Place) -> Command {
    let config = place.folder.join("config.yml");
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: {}\n",
        place.folder("data").display(),
        place.host()
    );
    // If this fails, the server reports that its configuration is missing.
    let _ = fs::write(&config, text);
    let mut command = command(program, &["serve", &config.display().to_string()]);
    command.env("OTEL_TRACES_EXPORTER", "none");
    command
}

pub(super) fn moto(program: &Path, place: &Place) -> Command {
    command(program, &["-H", "127.0.0.1", "-p", &place.port.to_string()])
}

pub(super) fn s3s(program: &Path, place: &Place) -> Command {
    command(program, &[&place.port.to_string(), &place.folder("data").display().to_string()])
}

pub(super) fn rclone(program: &Path, place: &Place) -> Command {
    let root = place.folder("team");
    let buckets = root.parent().unwrap_or(&root).display().to_string();
    command(program, &["serve", "s3", "--addr", &place.host(), &buckets])
}

pub(super) fn seaweed(program: &Path, place: &Place) -> Command {
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

pub(super) fn localbucket(program: &Path, place: &Place) -> Command {
    command(program, &["--port", &place.port.to_string(), &place.folder("data").display().to_string()])
}

pub(super) fn s3rver(program: &Path, place: &Place) -> Command {
    let (root, port) = (place.folder("data").display().to_string(), place.port.to_string());
    command(program, &["-d", &root, "-a", "127.0.0.1", "-p", &port, "-s", "--configure-bucket", "team"])
}

pub(super) fn juicefs(program: &Path, place: &Place) -> Command {
    script(JUICEFS, program, place)
}

pub(super) fn azurite(program: &Path, place: &Place) -> Command {
    azurite_with(program, place, &["--location", &place.folder("data").display().to_string()])
}

pub(super) fn azurite_in_memory(program: &Path, place: &Place) -> Command {
    azurite_with(program, place, &["--inMemoryPersistence"])
}

fn azurite_with(program: &Path, place: &Place, how: &[&str]) -> Command {
    let port = place.port.to_string();
    let mut words = vec!["--silent", "--disableTelemetry", "--blobHost", "127.0.0.1", "--blobPort", &port];
    words.extend(how);
    let mut command = command(program, &words);
    command.current_dir(&place.folder);
    command
}

pub(super) fn azurite_oauth(program: &Path, place: &Place) -> Command {
    script(AZURITE_OAUTH, program, place)
}

pub(super) fn act(program: &Path, place: &Place) -> Command {
    script(ACT, program, place)
}

pub(super) fn emulator(program: &Path, place: &Place) -> Command {
    let data = place.folder("data").display().to_string();
    command(program, &[&emulator_script(), "serve", "--port", &place.port.to_string(), "--data", &data])
}

pub(super) fn emulator_script() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools/gha_emulator.py").display().to_string()
}

/// A script that starts the server. Its arguments are the program, the folder, the port, and another free port.
fn script(text: &str, program: &Path, place: &Place) -> Command {
    let other_port = free_port().unwrap_or_default().to_string();
    let mut command = Command::new("sh");
    command.args(["-c", text, "sh"]).arg(program).arg(&place.folder).args([place.port.to_string(), other_port]);
    command
}
