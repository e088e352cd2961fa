//! Reads settings in the files of AWS that the SDK ignores.

use std::path::{Path, PathBuf};

use aws_types::os_shim_internal::{Env, Fs};
use cache_core::{ErrorKind, Result};
use cache_kit::check_file;

use crate::error;

/// No file of AWS is larger.
const LARGEST: u64 = 16 << 20;

/// The file of CAs that the profile names, which is that of `$AWS_PROFILE` or the default one.
///
/// Unreadable files are ignored: the SDK reports them if it needs them.
pub(super) async fn ca_bundle() -> Option<PathBuf> {
    let profiles = aws_config::profile::load(&Fs::real(), &Env::real(), &Default::default(), None).await.ok()?;
    let named = profiles.get("ca_bundle").filter(|path| !path.is_empty())?;
    let at_home = named.strip_prefix("~/").and_then(|path| Some(std::env::home_dir()?.join(path)));
    Some(at_home.unwrap_or_else(|| PathBuf::from(named)))
}

/// The SDK reads the files that variables name whole, and waits for pipes.
///
/// # Errors
/// [`ErrorKind::InvalidSpec`] if it is not a file, or too large.
pub(super) fn check_files(files: &[(&'static str, PathBuf)]) -> Result<()> {
    let is_there = |(_, path): &&(_, PathBuf)| Path::exists(path);
    files.iter().filter(is_there).try_for_each(|(variable, path)| {
        check_file(path, LARGEST).map_err(|cause| {
            let error = error::new(ErrorKind::InvalidSpec, "cannot use the file that a variable names");
            error.with("variable", variable).with("path", path.display()).with("cause", cause)
        })
    })
}
