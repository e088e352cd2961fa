//! The attributes in a backend's facts are those that it reads.

use std::collections::BTreeSet;

use cache_core::spec::{Attribute, Values};

use crate::harness::Harness;

/// A name that is similar to no other, so that the hint lists the known ones.
const UNKNOWN: &str = "an-attribute-that-no-backend-of-buildcache-has-or-ever-will";

/// The hint for an unknown attribute lists the attributes of the facts, for each side.
pub async fn the_attributes_in_the_facts_are_those_that_are_read(place: &dyn Harness) {
    let (backend, spec) = (place.backend(), place.spec().with(UNKNOWN, "x"));
    let attributes = backend.facts().attributes;
    let known = |hint: Option<&str>| -> BTreeSet<String> {
        let hint = hint.and_then(|hint| hint.strip_prefix("known attributes: ")).expect("the hint lists them");
        hint.split(", ").map(str::to_owned).collect()
    };
    let told = |is_on: fn(&Attribute) -> bool| -> BTreeSet<String> {
        attributes.iter().filter(|attribute| is_on(attribute)).map(|attribute| attribute.name.to_owned()).collect()
    };
    let error = backend.importer(&spec).await.err().expect("an unknown attribute is refused");
    assert_eq!(known(error.hint()), told(|attribute| attribute.on_import));
    let error = backend.exporter(&spec).await.err().expect("an unknown attribute is refused");
    assert_eq!(known(error.hint()), told(|attribute| attribute.on_export));
}

/// A spec never shows the value of an attribute for secrets.
pub async fn attributes_that_are_secrets_are_never_shown(place: &dyn Harness) {
    for attribute in place.backend().facts().attributes.iter().filter(|attribute| attribute.values == Values::Secret) {
        let shown = place.spec().with(attribute.name, "hush-9c1f").to_string();
        assert!(!shown.contains("hush-9c1f"), "{}: {shown}", attribute.name);
    }
}
