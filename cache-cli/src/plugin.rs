//! The program as a plugin of Docker's command line: `docker buildcache …`.
//!
//! Docker looks for executables named `docker-NAME` in its plugin folders, asks each for `docker-cli-plugin-metadata`,
//! and runs `docker-NAME NAME ARG…` afterwards (<https://github.com/docker/cli/tree/master/cli-plugins>).

use std::ffi::OsString;
use std::path::Path;

/// The argument with which Docker asks a plugin for its metadata.
const METADATA: &str = "docker-cli-plugin-metadata";
/// The name of the executable as a plugin, and of the command that it adds to Docker.
const EXECUTABLE: &str = "docker-buildcache";
const COMMAND: &str = "buildcache";

/// The kinds of command lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// The metadata of this plugin for Docker, as JSON.
    Metadata(String),
    /// A verb, without the word that Docker adds.
    Verb(Vec<OsString>),
}

/// Reads a command line, with the program's name first.
pub(crate) fn call(line: impl IntoIterator<Item = OsString>) -> Call {
    let mut line: Vec<OsString> = line.into_iter().collect();
    let is_plugin = line.first().is_some_and(|program| Path::new(program).file_stem() == Some(EXECUTABLE.as_ref()));
    match line.get(1) {
        Some(word) if is_plugin && word == METADATA => Call::Metadata(metadata()),
        Some(word) if is_plugin && word == COMMAND => {
            line.remove(1);
            Call::Verb(line)
        }
        _ => Call::Verb(line),
    }
}

fn metadata() -> String {
    let metadata = serde_json::json!({
        "SchemaVersion": "0.1.0",
        "Vendor": "buildcache",
        "Version": env!("CARGO_PKG_VERSION"),
        "ShortDescription": "Read, copy, check and delete build caches",
    });
    format!("{metadata}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn docker_is_told_what_the_plugin_is() {
        let Call::Metadata(json) = call(line(&["/usr/lib/docker-buildcache", METADATA])) else { panic!("no metadata") };
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&json["SchemaVersion"], &json["Version"]), (&"0.1.0".into(), &env!("CARGO_PKG_VERSION").into()));
    }

    #[test]
    fn the_word_that_docker_adds_is_taken_off() {
        let plugin = call(line(&["docker-buildcache", "buildcache", "ls", "buildcache"]));
        assert_eq!(plugin, Call::Verb(line(&["docker-buildcache", "ls", "buildcache"])));
    }

    #[test]
    fn the_program_under_its_own_name_is_no_plugin() {
        for words in [["buildcache", METADATA], ["buildcache", "buildcache"]] {
            assert_eq!(call(line(&words)), Call::Verb(line(&words)));
        }
    }
}
