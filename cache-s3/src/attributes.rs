//! What specs of this backend say: `type=s3`, and its attributes.

use cache_core::spec::{Attribute, Values};

/// The `type` of this backend's specs.
pub const KIND: &str = "s3";

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute::new("bucket", "the bucket").required().with_variable("AWS_BUCKET"),
    Attribute::new("region", "its region: auto for R2, us-east-1 for most stores other than AWS")
        .required()
        .with_variable("AWS_REGION"),
    Attribute::new("name", "names of the cache, divided by ;: all are written, the first is read")
        .with_default("buildkit"),
    Attribute::new("prefix", "the start of every key; no slash is added"),
    Attribute::new("manifests_prefix", "follows the prefix in keys of indexes; no slash is added")
        .with_default("manifests/"),
    Attribute::new("blobs_prefix", "follows the prefix in keys of blobs; no slash is added").with_default("blobs/"),
    Attribute::new("endpoint_url", "the URL of a server other than AWS").with_variable("AWS_ENDPOINT_URL"),
    Attribute::new("use_path_style", "host/bucket instead of bucket.host, with endpoint_url")
        .of(Values::Bool)
        .with_default("false"),
    Attribute::new("access_key_id", "a static key, with secret_access_key")
        .of(Values::Secret)
        .with_default("the chain of the AWS SDKs"),
    Attribute::new("secret_access_key", "the secret of access_key_id").of(Values::Secret),
    Attribute::new("session_token", "the session token of temporary keys").of(Values::Secret),
    Attribute::new("touch_refresh", "the age from which a present blob gets a new time")
        .of(Values::Duration)
        .with_default("24h"),
    Attribute::new("upload_parallelism", "at most so many blobs are pushed at once")
        .of(Values::Number)
        .with_default("as many as the export pushes"),
    Attribute::new("retry_mode", "adaptive lowers the rate when the store asks for it")
        .of(Values::OneOf(&["standard", "adaptive"]))
        .with_default("standard"),
    Attribute::new("retry_max_attempts", "how often a request is sent, the first time included")
        .of(Values::Number)
        .with_default("6"),
    Attribute::new("disable_accept_encoding", "accepted and not needed: the header is never signed here")
        .of(Values::Bool),
];
