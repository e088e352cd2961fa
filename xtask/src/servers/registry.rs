//! A `docker-registry` on loopback.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Server, find_debian, free_address};
use crate::failure::Failure;

/// A running registry.
pub(crate) struct Registry {
    _server: Server,
    address: SocketAddr,
}

impl Registry {
    /// Finds the program; the error says how to get it.
    pub(crate) fn find() -> Result<PathBuf, String> {
        find_debian("docker-registry", "docker-registry")
    }

    /// Starts the program with its content below the directory and waits until it answers.
    pub(crate) fn start(program: &Path, directory: &Path) -> Result<Self, Failure> {
        let address = free_address("docker-registry")?;
        let path = directory.join("registry.yml");
        fs::write(&path, config(address, &directory.join("registry")))
            .map_err(|error| Failure::io("write", &path, &error))?;
        let mut command = Command::new(program);
        command.arg("serve").arg(path).env("OTEL_TRACES_EXPORTER", "none");
        let is_ready = || TcpStream::connect(address).is_ok();
        let server = Server::start("docker-registry", &mut command, directory, is_ready)?;
        Ok(Self { _server: server, address })
    }

    /// The reference of an image or a cache in it.
    pub(crate) fn reference(&self, tag: &str) -> String {
        format!("{}/app:{tag}", self.address)
    }
}

/// The configuration as JSON, which is also YAML.
fn config(address: SocketAddr, content: &Path) -> String {
    let config = serde_json::json!({
        "version": 0.1,
        "log": { "level": "warn", "accesslog": { "disabled": true } },
        "storage": { "filesystem": { "rootdirectory": content } },
        "http": { "addr": address },
    });
    config.to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::config;

    #[test]
    fn the_config_has_the_address_and_the_folder() {
        let config = config("127.0.0.1:5000".parse().unwrap(), Path::new("/tmp/a \"b\""));
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["http"]["addr"], "127.0.0.1:5000");
        assert_eq!(config["storage"]["filesystem"]["rootdirectory"], "/tmp/a \"b\"");
    }
}
