//! The forms of a manifest.

use std::borrow::Cow;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Descriptor, MediaType};
use crate::spec::{Attribute, Attrs, Values};

/// The kind of manifest that holds the cache, as chosen by `image-manifest` and `oci-mediatypes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ManifestForm {
    /// An OCI image manifest; BuildKit's default since v0.21, unreadable before v0.12.
    ImageManifest,
    /// An OCI image index whose last entry is the config.
    Index,
    /// A Docker manifest list whose last entry is the config.
    DockerList,
}

impl ManifestForm {
    /// The media type of the document.
    #[must_use]
    pub fn media_type(self) -> MediaType {
        match self {
            Self::ImageManifest => MediaType::OCI_MANIFEST,
            Self::Index => MediaType::OCI_INDEX,
            Self::DockerList => MediaType::DOCKER_LIST,
        }
    }

    /// The form's name, as reports show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ImageManifest => "image-manifest",
            Self::Index => "index",
            Self::DockerList => "docker-list",
        }
    }

    /// The attributes that choose a form, for exports.
    pub const ATTRIBUTES: [Attribute; 2] = [
        Attribute {
            name: "image-manifest",
            about: "an image manifest instead of an index of layers",
            values: Values::Bool,
            default: Some("the form of the source"),
            on_import: false,
            ..Attribute::PLAIN
        },
        Attribute {
            name: "oci-mediatypes",
            about: "OCI's media types instead of Docker's",
            values: Values::Bool,
            default: Some("the form of the source"),
            on_import: false,
            ..Attribute::PLAIN
        },
    ];

    /// Takes the form from the attributes of a spec, as BuildKit v0.22 and later do; `None` when neither is given.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a value that is not a boolean, and for an image manifest with Docker media types,
    /// which BuildKit refuses too.
    pub fn from_attrs(attrs: &mut Attrs<'_>) -> Result<Option<Self>> {
        let [image_manifest, oci_media_types] = Self::ATTRIBUTES;
        Ok(Some(match (attrs.bool(image_manifest.name)?, attrs.bool(oci_media_types.name)?) {
            (None, None) => return Ok(None),
            (Some(true), Some(false)) => {
                return Err(Error::new(
                    ErrorKind::InvalidSpec,
                    "image-manifest=true needs OCI media types; drop oci-mediatypes=false or image-manifest=true",
                ));
            }
            (Some(false) | None, Some(false)) => Self::DockerList,
            (Some(false), _) => Self::Index,
            (Some(true) | None, _) => Self::ImageManifest,
        }))
    }

    /// A layer as BuildKit writes it to a manifest: with the media type of the form, and without foreign URLs.
    pub(super) fn layer(self, layer: &Descriptor) -> Cow<'_, Descriptor> {
        let is_docker = self == Self::DockerList;
        let media_type = if is_docker { layer.media_type.to_docker() } else { layer.media_type.to_oci() };
        if media_type == layer.media_type && layer.urls.is_empty() {
            return Cow::Borrowed(layer);
        }
        Cow::Owned(Descriptor { media_type, urls: Vec::new(), ..layer.clone() })
    }
}
