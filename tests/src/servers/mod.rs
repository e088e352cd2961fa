//! Servers: those that run inside the tests and log every request, and real ones that the tests start.

#[cfg(feature = "registry")]
pub mod docker_registry;
#[cfg(feature = "registry")]
pub mod registry;
