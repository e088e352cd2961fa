//! The command lines of `login` and `logout`.

use clap::Args;

/// `login REGISTRY`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  printf %s \"$TOKEN\" | buildcache login -u me --password-stdin ghcr.io
  buildcache login --authfile auth.json -u ci --password-stdin localhost:5000 < password

The login is kept in the first of these files, in which the other verbs and
Docker find it: the one of --authfile, $REGISTRY_AUTH_FILE, config.json in
$DOCKER_CONFIG or ~/.docker. Where that names a credential helper, the helper
keeps the password; else it is in the file, which only its owner can read.")]
pub(crate) struct LoginArgs {
    /// The registry, like ghcr.io, docker.io or localhost:5000
    #[arg(value_name = "REGISTRY")]
    pub(crate) registry: String,
    /// The name of the account
    #[arg(short, long, value_name = "NAME")]
    pub(crate) username: String,
    /// Read the password or token from stdin; other users can see arguments
    #[arg(long, required = true)]
    pub(crate) password_stdin: bool,
    /// Accept any certificate, and plain HTTP where there is no HTTPS
    #[arg(long)]
    pub(crate) insecure: bool,
}

/// `logout REGISTRY`
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// The registry, like ghcr.io, docker.io or localhost:5000
    #[arg(value_name = "REGISTRY")]
    pub(crate) registry: String,
}
