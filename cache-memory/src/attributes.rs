//! The attributes of `type=memory`.

use cache_core::manifest::ManifestForm;
use cache_core::spec::Attribute;

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute { name: "name", about: "which cache of the store", default: Some("latest"), ..Attribute::PLAIN },
    ManifestForm::ATTRIBUTES[0],
    ManifestForm::ATTRIBUTES[1],
];
