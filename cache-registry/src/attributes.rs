//! The attributes of `type=registry`.

use cache_core::spec::{Attribute, Values};

pub(crate) const ATTRIBUTES: &[Attribute] = &[
    Attribute::new("ref", "the reference, as Docker completes it").required(),
    Attribute::new("registry.insecure", "take HTTPS with any certificate, and HTTP where there is no HTTPS")
        .of(Values::Bool)
        .with_default("false, and HTTP for loopback"),
    Attribute::new("image-manifest", "an image manifest instead of an index of layers")
        .of(Values::Bool)
        .with_default("the form of the source")
        .of_exports(),
    Attribute::new("oci-mediatypes", "OCI's media types instead of Docker's")
        .of(Values::Bool)
        .with_default("the form of the source")
        .of_exports(),
];
