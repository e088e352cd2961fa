//! A temporary directory for one run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use crate::failure::Failure;

/// A new temporary directory, which is removed with its content when it is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(purpose: &str) -> Result<Self, Failure> {
        let path = env::temp_dir().join(format!("buildcache-{purpose}-{}", process::id()));
        fs::create_dir(&path).map_err(|error| Failure::io("create", &path, &error))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("warning: cannot remove {}: {error}", self.0.display());
        }
    }
}
