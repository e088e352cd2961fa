//! The attributes of `type=memory`.

use cache_core::manifest::ManifestForm;
use cache_core::spec::Attribute;

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute::new("name", "which cache of the store").with_default("latest"),
    ManifestForm::ATTRIBUTES[0],
    ManifestForm::ATTRIBUTES[1],
];
