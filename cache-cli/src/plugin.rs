//! The program as a plugin of Docker's command line: `docker buildcache …`.
//!
//! Docker looks for executables named `docker-NAME` in its plugin folders, asks each for `docker-cli-plugin-metadata`,
//! and runs `docker-NAME NAME ARG…` afterwards, or `docker-NAME help NAME ARG…` for `docker help NAME ARG…`
//! (<https://github.com/docker/cli/tree/master/cli-plugins>).

use std::ffi::OsString;
use std::path::Path;

/// The program's name as a plugin, as usage lines show it.
const SHOWN: &str = "docker buildcache";
/// The argument with which Docker asks a plugin for its metadata.
const METADATA: &str = "docker-cli-plugin-metadata";
/// The name of the executable as a plugin, and of the command that it adds to Docker.
const EXECUTABLE: &str = "docker-buildcache";
const COMMAND: &str = "buildcache";
/// The verb that Docker puts before that command.
const HELP: &str = "help";

/// The kinds of command lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// The metadata of this plugin for Docker, as JSON.
    Metadata(String),
    /// A verb, without the word that Docker adds, and with the name that users of the plugin type.
    Verb(Vec<OsString>),
}

/// Reads a command line, with the program's name first.
pub(crate) fn call(line: impl IntoIterator<Item = OsString>) -> Call {
    let mut line: Vec<OsString> = line.into_iter().collect();
    let is_plugin = line.first().is_some_and(|program| Path::new(program).file_stem() == Some(EXECUTABLE.as_ref()));
    if !is_plugin {
        return Call::Verb(line);
    }
    let is = |at: usize, word: &str| line.get(at).is_some_and(|found| found == word);
    if is(1, METADATA) {
        return Call::Metadata(metadata());
    }
    let added = if is(1, HELP) { 2 } else { 1 };
    if is(added, COMMAND) {
        line.remove(added);
    }
    line[0] = SHOWN.into();
    Call::Verb(line)
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
        assert_eq!(plugin, Call::Verb(line(&["docker buildcache", "ls", "buildcache"])));
    }

    #[test]
    fn the_help_of_docker_is_that_of_the_plugin() {
        for (typed, meant) in [
            (&["docker-buildcache", "help", "buildcache"][..], &["docker buildcache", "help"][..]),
            (&["docker-buildcache", "help", "buildcache", "ls"], &["docker buildcache", "help", "ls"]),
            (&["docker-buildcache", "buildcache", "help", "ls"], &["docker buildcache", "help", "ls"]),
        ] {
            assert_eq!(call(line(typed)), Call::Verb(line(meant)));
        }
    }

    #[test]
    fn the_program_under_its_own_name_is_no_plugin() {
        for words in [["buildcache", METADATA], ["buildcache", "buildcache"]] {
            assert_eq!(call(line(&words)), Call::Verb(line(&words)));
        }
    }
}
