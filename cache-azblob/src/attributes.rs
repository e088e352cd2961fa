//! What specs of this backend say: `type=azblob`, and its attributes.

use cache_core::spec::{Attribute, Values};

/// The `type` of this backend's specs.
pub const KIND: &str = "azblob";

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute {
        name: "account_url",
        about: "the account, with a shared access signature in its query or without",
        values: Values::Secret,
        is_required: true,
        variable: Some("BUILDKIT_AZURE_STORAGE_ACCOUNT_URL"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "account_name",
        about: "the name that the key signs for",
        default: Some("the first label of the URL's host"),
        variable: Some("BUILDKIT_AZURE_STORAGE_ACCOUNT_NAME"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "secret_access_key",
        about: "the account's key, in base64",
        values: Values::Secret,
        default: Some("the signature in the URL, or Microsoft Entra ID"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "container",
        about: "the container",
        default: Some("buildkit-cache"),
        variable: Some("BUILDKIT_AZURE_STORAGE_CONTAINER"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "name",
        about: "names of the cache, divided by ;: all are written, all are read",
        default: Some("buildkit"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "prefix",
        about: "the folder of all names",
        variable: Some("BUILDKIT_AZURE_STORAGE_PREFIX"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "manifests_prefix",
        about: "the folder of indexes, below the prefix",
        default: Some("manifests"),
        ..Attribute::PLAIN
    },
    Attribute {
        name: "blobs_prefix",
        about: "the folder of layers, below the prefix",
        default: Some("blobs"),
        ..Attribute::PLAIN
    },
];
