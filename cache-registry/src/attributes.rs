//! What specs of this backend say: `type=registry`, and its attributes.

use cache_core::manifest::ManifestForm;
use cache_core::spec::{Attribute, Values};

/// The `type` of this backend's specs.
pub const KIND: &str = "registry";

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute { name: "ref", about: "the reference, completed as by Docker", is_required: true, ..Attribute::PLAIN },
    Attribute {
        name: "registry.insecure",
        about: "accept any certificate, and plain HTTP where there is no HTTPS",
        values: Values::Bool,
        default: Some("false, and HTTP for loopback"),
        ..Attribute::PLAIN
    },
    ManifestForm::ATTRIBUTES[0],
    ManifestForm::ATTRIBUTES[1],
];
