//! What specs of this backend say: `type=registry`, and its attributes.

use cache_core::manifest::ManifestForm;
use cache_core::spec::{Attribute, Values};

/// The `type` of this backend's specs.
pub const KIND: &str = "registry";

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute::new("ref", "the reference, completed as by Docker").required(),
    Attribute::new("registry.insecure", "accept any certificate, and plain HTTP where there is no HTTPS")
        .of(Values::Bool)
        .with_default("false, and HTTP for loopback"),
    ManifestForm::ATTRIBUTES[0],
    ManifestForm::ATTRIBUTES[1],
];
