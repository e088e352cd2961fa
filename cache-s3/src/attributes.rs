//! What specs of this backend say: `type=s3`, and its attributes.

use cache_core::spec::{Attribute, Values};

/// The `type` of this backend's specs.
pub const KIND: &str = "s3";

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute {
        name: "bucket",
        about: "the bucket",
        is_required: true,
        variable: Some("AWS_BUCKET"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "region",
        about: "its region: auto for R2, us-east-1 for most stores other than AWS",
        is_required: true,
        variable: Some("AWS_REGION"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "name",
        about: "names of the cache, divided by ;: all are written, the first is read",
        default: Some("buildkit"),
        ..Attribute::PLAIN
    },
    Attribute { name: "prefix", about: "the start of every key; no slash is added", ..Attribute::PLAIN },
    Attribute {
        name: "manifests_prefix",
        about: "follows the prefix in keys of indexes; no slash is added",
        default: Some("manifests/"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "blobs_prefix",
        about: "follows the prefix in keys of blobs; no slash is added",
        default: Some("blobs/"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "endpoint_url",
        about: "the URL of a server other than AWS",
        variable: Some("AWS_ENDPOINT_URL"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "use_path_style",
        about: "host/bucket instead of bucket.host, with endpoint_url",
        values: Values::Bool,
        default: Some("false"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "access_key_id",
        about: "a static key, with secret_access_key",
        values: Values::Secret,
        default: Some("the chain of the AWS SDKs"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "secret_access_key",
        about: "the secret of access_key_id",
        values: Values::Secret,
        ..Attribute::PLAIN
    },
    Attribute {
        name: "session_token",
        about: "the session token of temporary keys",
        values: Values::Secret,
        ..Attribute::PLAIN
    },
    Attribute {
        name: "touch_refresh",
        about: "the age from which a present blob gets a new time",
        values: Values::Duration,
        default: Some("24h"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "upload_parallelism",
        about: "at most so many blobs are pushed at once",
        values: Values::Number,
        default: Some("as many as the export pushes"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "retry_mode",
        about: "adaptive lowers the rate when the store asks for it",
        values: Values::OneOf(&["standard", "adaptive"]),
        default: Some("standard"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "retry_max_attempts",
        about: "how often a request is sent, the first time included",
        values: Values::Number,
        default: Some("6"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "disable_accept_encoding",
        about: "accepted and not needed: the header is never signed here",
        values: Values::Bool,
        ..Attribute::PLAIN
    },
];
