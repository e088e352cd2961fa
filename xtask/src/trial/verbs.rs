//! Runs the program in the root: alone, on a cache that BuildKit wrote, and as a plugin of the real `docker`.

use std::fs;

use super::Trial;
use super::root::write;
use crate::failure::Failure;

/// The program starts without libraries, and has the version of the archive.
pub(super) fn version(trial: &Trial<'_>) -> Result<String, Failure> {
    let said = trial.buildcache(&["--version"], 0)?;
    let wanted = format!("buildcache {}\n", trial.version);
    if said != wanted {
        return Err(Failure::new(format!("it says {said:?}, and not {wanted:?}")));
    }
    let path = trial.root.path(&format!("{}/bin/buildcache", trial.prefix));
    let bytes = fs::read(&path).map_err(|error| Failure::io("read", &path, &error))?;
    let how = if trial.root.is_foreign() { ", emulated" } else { "" };
    Ok(format!("{}, {:.1} MB{how}", said.trim(), bytes.len() as f64 / 1e6))
}

/// It copies and verifies a cache.
pub(super) fn copy_and_verify(trial: &Trial<'_>) -> Result<String, Failure> {
    let copied = trial.buildcache(&["copy", "type=local,src=cache", "type=local,dest=mirror,tag=main"], 0)?;
    let _ = trial.buildcache(&["verify", "type=local,src=mirror,tag=main"], 0)?;
    let zstd = ["--compression", "zstd", "--force-compression"];
    let _ = trial.buildcache(&[&["copy", "type=local,src=cache", "type=local,dest=small"], &zstd[..]].concat(), 0)?;
    let _ = trial.buildcache(&["verify", "type=local,src=small"], 0)?;
    let listed = trial.buildcache(&["ls", "-q", "type=local,src=mirror"], 0)?;
    if listed != "main\n" {
        return Err(Failure::new(format!("ls says {listed:?}")));
    }
    Ok(copied.trim().to_owned())
}

/// Its exit codes are the documented ones.
pub(super) fn exit_codes(trial: &Trial<'_>) -> Result<String, Failure> {
    let _ = trial.buildcache(&["inspect", "type=locl,src=cache"], 2)?;
    let _ = trial.buildcache(&["verify", "type=local,src=nowhere"], 4)?;
    let blobs = trial.root.path("work/mirror/blobs/sha256");
    let failed = |error: std::io::Error| Failure::io("read", &blobs, &error);
    let mut files: Vec<_> =
        fs::read_dir(&blobs).map_err(failed)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    for file in &files {
        fs::write(file, "damaged").map_err(|error| Failure::io("write", file, &error))?;
    }
    let _ = trial.buildcache(&["verify", "type=local,src=mirror,tag=main"], 3)?;
    Ok("2 for a bad spec, 3 for a damaged cache, 4 for none".to_owned())
}

/// It is a plugin in Docker's folder for the system.
pub(super) fn docker(trial: &Trial<'_>) -> Result<String, Failure> {
    if trial.root.is_foreign() {
        return Ok("not tried: the client is of this machine".to_owned());
    }
    if !trial.root.install("docker")? {
        return Ok("not tried: no docker is installed".to_owned());
    }
    // The client opens `/dev/null` for each plugin.
    write(&trial.root.path("dev/null"), "")?;
    let said = trial.program("docker", &["buildcache", "version"], 0)?;
    if said != format!("buildcache {}\n", trial.version) {
        return Err(Failure::new(format!("`docker buildcache version` says {said:?}")));
    }
    let help = trial.program("docker", &["--help"], 0)?;
    if !help.contains("buildcache*") {
        return Err(Failure::new("`docker --help` does not show it"));
    }
    let _ = trial.program("docker", &["buildcache", "verify", "type=local,src=cache"], 0)?;
    let client = trial.program("docker", &["--version"], 0)?;
    Ok(format!("`docker buildcache version` and `verify` run; {}", client.trim()))
}
