//! What specs of this backend say: `type=azblob`, and its attributes.

use cache_core::spec::{Attribute, Values};

/// The `type` of this backend's specs.
pub const KIND: &str = "azblob";

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute::new("account_url", "the account, with a shared access signature in its query or without")
        .of(Values::Secret)
        .required()
        .with_variable("BUILDKIT_AZURE_STORAGE_ACCOUNT_URL"),
    Attribute::new("account_name", "the name that the key signs for")
        .with_default("the first label of the URL's host")
        .with_variable("BUILDKIT_AZURE_STORAGE_ACCOUNT_NAME"),
    Attribute::new("secret_access_key", "the account's key, in base64")
        .of(Values::Secret)
        .with_default("the signature in the URL, or Microsoft Entra ID"),
    Attribute::new("container", "the container")
        .with_default("buildkit-cache")
        .with_variable("BUILDKIT_AZURE_STORAGE_CONTAINER"),
    Attribute::new("name", "names of the cache, divided by ;: all are written, all are read").with_default("buildkit"),
    Attribute::new("prefix", "the folder of all names").with_variable("BUILDKIT_AZURE_STORAGE_PREFIX"),
    Attribute::new("manifests_prefix", "the folder of indexes, below the prefix").with_default("manifests"),
    Attribute::new("blobs_prefix", "the folder of layers, below the prefix").with_default("blobs"),
];
