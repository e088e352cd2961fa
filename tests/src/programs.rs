//! Whether a program is installed.

use std::process::Command;

/// Whether the program runs and prints its version with this flag.
#[must_use]
pub fn is_installed(program: &str, flag: &str) -> bool {
    Command::new(program).arg(flag).output().is_ok_and(|output| output.status.success())
}
