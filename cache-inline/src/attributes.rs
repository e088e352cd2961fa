//! What specs of this backend say: `type=inline`, and its attributes: those of the places that images can be in.

use cache_core::spec::{Attribute, Values};

/// The `type` of this backend's specs.
pub const KIND: &str = "inline";

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute::new("image", "the image: a directory with an OCI layout, or a reference").required().of_exports(),
    Attribute::new("tag", "of a layout: which image").with_default("latest").of_exports(),
    Attribute::new("digest", "of a layout: which image, by its digest").of_exports(),
    Attribute::new("registry.insecure", "of a reference: as in type=registry")
        .of(Values::Bool)
        .with_default("false, and HTTP for loopback")
        .of_exports(),
];
