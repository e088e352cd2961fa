//! What specs of this backend say: `type=inline`, and its attributes: those of the places that images can be in.

use cache_core::spec::{Attribute, Values};

/// The `type` of this backend's specs.
pub const KIND: &str = "inline";

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute {
        name: "image",
        about: "the image: a directory with an OCI layout, or a reference",
        is_required: true,
        on_import: false,
        ..Attribute::PLAIN
    },
    Attribute {
        name: "tag",
        about: "of a layout: which image",
        default: Some("latest"),
        on_import: false,
        ..Attribute::PLAIN
    },
    Attribute {
        name: "digest",
        about: "of a layout: which image, by its digest",
        on_import: false,
        ..Attribute::PLAIN
    },
    Attribute {
        name: "registry.insecure",
        about: "of a reference: as in type=registry",
        values: Values::Bool,
        default: Some("false, and HTTP for loopback"),
        on_import: false,
        ..Attribute::PLAIN
    },
];
