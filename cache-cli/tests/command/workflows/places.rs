//! Stores on this machine, in place of those in the recipes.

use std::time::Duration;

use cache_tests::servers::{actions, registry, s3};

/// A registry, a bucket and GitHub's cache service, all empty.
pub(crate) struct Places {
    registry: registry::Server,
    s3: s3::Server,
    actions: actions::Server,
}

impl Places {
    pub(crate) fn new() -> Self {
        Self::with(registry::Options::default())
    }

    /// The same, with another kind of registry.
    pub(crate) fn with(options: registry::Options) -> Self {
        Self {
            registry: registry::Server::start(registry::Access::Open, options),
            s3: s3::Server::start(s3::Options::default()),
            actions: actions::Server::start(actions::Options::default()),
        }
    }

    pub(crate) fn repository(&self) -> String {
        format!("{}/team/app/cache", self.registry.host())
    }

    pub(crate) fn registry(&self) -> String {
        format!("type=registry,ref={}:main", self.repository())
    }

    pub(crate) fn bucket(&self) -> String {
        format!(
            "type=s3,bucket={},region=eu-test-1,prefix=app/,endpoint_url={},use_path_style=true,access_key_id={},\
             secret_access_key={}",
            s3::BUCKET,
            self.s3.endpoint(),
            s3::ACCESS_KEY,
            s3::SECRET_KEY
        )
    }

    /// The variables that a runner passes to actions in JavaScript.
    pub(crate) fn runtime(&self) -> [(&'static str, String); 3] {
        let token = actions::mint(&[("refs/heads/main", 3)], Duration::from_secs(3_600));
        [
            ("ACTIONS_RUNTIME_TOKEN", token),
            ("ACTIONS_RESULTS_URL", self.actions.url()),
            ("ACTIONS_CACHE_SERVICE_V2", "true".to_owned()),
        ]
    }
}
