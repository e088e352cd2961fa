//! What specs of this backend say: `type=local`, and its attributes.

use cache_core::manifest::ManifestForm;
use cache_core::spec::{Attribute, Values};

/// The `type` of this backend's specs.
pub const KIND: &str = "local";

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute { name: "src", about: "the directory", values: Values::Directory, is_required: true, ..Attribute::PLAIN },
    Attribute { name: "dest", about: "another name of src", values: Values::Directory, ..Attribute::PLAIN },
    Attribute { name: "tag", about: "which cache of the directory", default: Some("latest"), ..Attribute::PLAIN },
    Attribute {
        name: "digest",
        about: "the manifest to read, whatever the tags point to",
        on_export: false,
        ..Attribute::PLAIN
    },
    ManifestForm::ATTRIBUTES[0],
    ManifestForm::ATTRIBUTES[1],
    Attribute {
        name: "reset",
        about: "after the export, delete what no tag reaches",
        values: Values::Bool,
        default: Some("false"),
        on_import: false,
        ..Attribute::PLAIN
    },
    Attribute {
        name: "check-present",
        about: "verify the blobs that are present, and write damaged ones again",
        values: Values::Bool,
        default: Some("false"),
        on_import: false,
        ..Attribute::PLAIN
    },
];
