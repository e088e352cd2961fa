//! What specs of this backend say: `type=local`, and its attributes.

use cache_core::manifest::ManifestForm;
use cache_core::spec::{Attribute, Values};

/// The `type` of this backend's specs.
pub const KIND: &str = "local";

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute::new("src", "the directory").of(Values::Directory).required(),
    Attribute::new("dest", "another name of src").of(Values::Directory),
    Attribute::new("tag", "which cache of the directory").with_default("latest"),
    Attribute::new("digest", "the manifest to read, whatever the tags lead to").of_imports(),
    ManifestForm::ATTRIBUTES[0],
    ManifestForm::ATTRIBUTES[1],
    Attribute::new("reset", "delete what no tag reaches after the export")
        .of(Values::Bool)
        .with_default("false")
        .of_exports(),
    Attribute::new("check-present", "read the blobs that are there, and write those again that are damaged")
        .of(Values::Bool)
        .with_default("false")
        .of_exports(),
];
