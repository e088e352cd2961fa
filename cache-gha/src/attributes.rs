//! What specs of this backend say: `type=gha`, and its attributes.

use cache_core::spec::{Attribute, Values};

/// The `type` of this backend's specs.
pub const KIND: &str = "gha";

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute::new("scope", "the name of the cache; not related to the scopes of a token").with_default("buildkit"),
    Attribute::new("token", "the token of the job")
        .of(Values::Secret)
        .required()
        .with_variable("ACTIONS_RUNTIME_TOKEN"),
    Attribute::new("url_v2", "a service of version 2").with_variable("ACTIONS_RESULTS_URL"),
    Attribute::new("url", "a service of version 1, or of the version in version").with_variable("ACTIONS_CACHE_URL"),
    Attribute::new("version", "the version of the service")
        .of(Values::OneOf(&["1", "2"]))
        .with_default("by the URL that is given")
        .with_variable("ACTIONS_CACHE_SERVICE_V2"),
    Attribute::new("timeout", "how long a call is retried").of(Values::Duration).with_default("10m"),
    Attribute::new("repository", "owner/name; with ghtoken, needed to list and to delete"),
    Attribute::new("ghtoken", "a token for GitHub's REST API: actions: read to list, actions: write to delete")
        .of(Values::Secret),
];
