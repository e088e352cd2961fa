//! The three manifests that hold a cache in a registry or a directory, and how a document is told apart.

use serde::de::MapAccess;
use serde::{Deserialize, Deserializer, Serialize};

use super::config::unreadable;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, GoObject, key_is, take};
use crate::model::{Descriptor, MediaType};

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

    /// Chooses a form as BuildKit v0.22 and later do; `None` when neither attribute is given.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for an image manifest with Docker media types, which BuildKit refuses too.
    pub fn choose(image_manifest: Option<bool>, oci_media_types: Option<bool>) -> Result<Option<Self>> {
        Ok(Some(match (image_manifest, oci_media_types) {
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

    pub(super) fn layer_type(self, layer: &MediaType) -> MediaType {
        if self == Self::DockerList { layer.to_docker() } else { layer.to_oci() }
    }
}

/// A document that may hold a cache or an image.
pub(crate) struct Parsed {
    pub(crate) media_type: MediaType,
    pub(crate) shape: Shape,
}

/// The two shapes that the four manifest media types have.
pub(crate) enum Shape {
    Manifest { config: Option<Box<Descriptor>>, layers: Vec<Descriptor> },
    Index { manifests: Vec<Descriptor> },
}

impl Parsed {
    /// Tells a document's type from its body alone, as BuildKit does (HTTP's content type is not looked at).
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let wire: WireDocument = json::from_slice(bytes).map_err(|error| unreadable("manifest", error))?;
        let has_manifest_shape = wire.config.is_some() || wire.layers.is_some();
        if has_manifest_shape && wire.manifests.is_some() {
            return Err(Error::new(ErrorKind::InvalidManifest, "invalid ambiguous manifest and manifest list"));
        }
        let inferred = if has_manifest_shape { MediaType::DOCKER_MANIFEST } else { MediaType::DOCKER_LIST };
        let media_type = match wire.media_type {
            Some(given) if given == MediaType::OCI_INDEX || given == MediaType::DOCKER_LIST => {
                agree(!has_manifest_shape, given)?
            }
            Some(given) if given == MediaType::OCI_MANIFEST || given == MediaType::DOCKER_MANIFEST => {
                agree(has_manifest_shape, given)?
            }
            _ => inferred,
        };
        let shape = if has_manifest_shape {
            let config = wire.config.flatten().and_then(|OptionalDescriptor(config)| config).map(Box::new);
            Shape::Manifest { config, layers: wire.layers.flatten().unwrap_or_default() }
        } else {
            Shape::Index { manifests: wire.manifests.flatten().unwrap_or_default() }
        };
        Ok(Self { media_type, shape })
    }
}

fn agree(agrees: bool, given: MediaType) -> Result<MediaType> {
    if agrees {
        return Ok(given);
    }
    let message = "mediaType in manifest does not match manifest contents";
    Err(Error::new(ErrorKind::InvalidManifest, message).with("mediaType", given))
}

/// `Some(None)` is a key that is there with `null`, which counts as present.
#[derive(Default)]
struct WireDocument {
    media_type: Option<MediaType>,
    config: Option<Option<OptionalDescriptor>>,
    layers: Option<Option<Vec<Descriptor>>>,
    manifests: Option<Option<Vec<Descriptor>>>,
}

impl GoObject for WireDocument {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match () {
            () if key_is(key, "mediatype") => take(&mut self.media_type, map),
            () if key_is(key, "config") => {
                self.config = Some(map.next_value()?);
                Ok(true)
            }
            () if key_is(key, "layers") => {
                self.layers = Some(map.next_value()?);
                Ok(true)
            }
            () if key_is(key, "manifests") => {
                self.manifests = Some(map.next_value()?);
                Ok(true)
            }
            () => Ok(false),
        }
    }
}

impl<'de> Deserialize<'de> for WireDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::object(deserializer)
    }
}

/// A descriptor that may be the empty object: an image manifest without a config.
struct OptionalDescriptor(Option<Descriptor>);

impl<'de> Deserialize<'de> for OptionalDescriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire: crate::model::WireDescriptor = json::object(deserializer)?;
        Ok(Self(wire.into_descriptor()))
    }
}

/// Encodes the document of `form` around a config and one descriptor per layer, in the layers' order.
pub(super) fn encode(form: ManifestForm, config: &Descriptor, layers: &[Descriptor]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Manifest<'a> {
        schema_version: u32,
        media_type: MediaType,
        config: &'a Descriptor,
        layers: &'a [Descriptor],
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Index<'a> {
        schema_version: u32,
        media_type: MediaType,
        manifests: Vec<&'a Descriptor>,
    }
    let (schema_version, media_type) = (2, form.media_type());
    let encoded = match form {
        ManifestForm::ImageManifest => json::to_vec(&Manifest { schema_version, media_type, config, layers }),
        ManifestForm::Index | ManifestForm::DockerList => {
            let manifests = layers.iter().chain([config]).collect();
            json::to_vec(&Index { schema_version, media_type, manifests })
        }
    };
    encoded.expect("a manifest is plain data, which always encodes")
}
