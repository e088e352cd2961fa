//! What specs of this backend say: `type=gha`, and its attributes.

use cache_core::spec::{Attribute, Values};

/// The `type` of this backend's specs.
pub const KIND: &str = "gha";

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute {
        name: "scope",
        about: "the name of the cache; not related to the scopes of a token",
        default: Some("buildkit"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "token",
        about: "the token of the job",
        values: Values::Secret,
        is_required: true,
        variable: Some("ACTIONS_RUNTIME_TOKEN"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "url_v2",
        about: "a service of version 2",
        variable: Some("ACTIONS_RESULTS_URL"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "url",
        about: "a service of version 1, or of the version in version",
        variable: Some("ACTIONS_CACHE_URL"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "version",
        about: "the version of the service",
        values: Values::OneOf(&["1", "2"]),
        default: Some("by the URL that is given"),
        variable: Some("ACTIONS_CACHE_SERVICE_V2"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "timeout",
        about: "how long a call is retried",
        values: Values::Duration,
        default: Some("10m"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "repository",
        about: "owner/name; with ghtoken, needed to list and to delete",
        ..Attribute::PLAIN
    },
    Attribute {
        name: "ghtoken",
        about: "a token for GitHub's REST API: actions: read to list, actions: write to delete",
        values: Values::Secret,
        ..Attribute::PLAIN
    },
];
