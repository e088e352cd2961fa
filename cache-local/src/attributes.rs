//! What specs of this backend say: `type=local`, and its attributes.

use cache_core::manifest::ManifestForm;
use cache_core::spec::{Attribute, Values};

/// The `type` of this backend's specs.
pub const KIND: &str = "local";

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute::new("src", "the directory").of(Values::Directory).required(),
    Attribute::new("dest", "another name of src").of(Values::Directory),
    Attribute::new("tag", "which cache of the directory").with_default("latest"),
    Attribute::new("digest", "the manifest to read, whatever the tags point to").of_imports(),
    ManifestForm::ATTRIBUTES[0],
    ManifestForm::ATTRIBUTES[1],
    Attribute::new("reset", "after the export, delete what no tag reaches")
        .of(Values::Bool)
        .with_default("false")
        .of_exports(),
    Attribute::new("check-present", "verify the blobs that are present, and write damaged ones again")
        .of(Values::Bool)
        .with_default("false")
        .of_exports(),
];
