//! Runs other programs, and passes their failures on.

use std::env;
use std::ffi::OsStr;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::Failure;

/// The cargo that runs this program, so that `cargo +nightly xtask` uses nightly throughout.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// Prints the command as one types it, runs it on this terminal, and fails with its status.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    println!("$ {}", as_typed(command));
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` failed ({status})", as_typed(command))).with_status(status.code()))
}

/// Runs the command silently and returns its stdout. If it fails, its stderr is the message.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| not_started(command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let message = format!("`{}` failed ({}): {}", as_typed(command), output.status, complaint.trim());
    Err(Failure::new(message).with_status(output.status.code()))
}

/// The first executable file of this name in the directories.
pub(crate) fn find(name: &str, directories: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    directories.into_iter().map(|directory| directory.join(&file)).find(|path| path.is_file())
}

/// The directories of `PATH`.
pub(crate) fn search_path() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

fn not_started(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot start `{}`: {error}", as_typed(command)))
}

fn as_typed(command: &Command) -> String {
    let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let variables = set.map(|(name, value)| format!("{}={}", name.to_string_lossy(), quoted(value)));
    let program = Path::new(command.get_program()).file_stem().unwrap_or(command.get_program());
    let words = iter::once(program).chain(command.get_args()).map(quoted);
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    if word.is_empty() || word.contains([' ', '\'', '"', '$', '*']) { format!("{word:?}") } else { word.into_owned() }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{as_typed, output};

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("/usr/bin/tool");
        command.env("LEVEL", "1").args(["copy", "type=local,src=a", "two words"]);
        assert_eq!(as_typed(&command), r#"LEVEL=1 tool copy type=local,src=a "two words""#);
    }

    #[test]
    fn the_status_of_a_program_is_passed_on() {
        let failure = output(Command::new("rustc").arg("--no-such-flag")).unwrap_err();
        assert_eq!(failure.status(), 1);
        assert!(failure.to_string().contains("no-such-flag"));
        assert!(output(&mut Command::new("no-such-program-here")).is_err());
    }
}
