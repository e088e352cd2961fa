//! The three manifests that hold a cache in a registry or a directory, and how a document is told apart.

use std::borrow::Cow;

use serde::de::MapAccess;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::ManifestForm;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, go_struct, take, unreadable};
use crate::model::{Descriptor, MediaType, WireDescriptor};

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
            let config = wire.config.flatten().and_then(WireDescriptor::into_descriptor).map(Box::new);
            Shape::Manifest { config, layers: wire.layers.flatten().unwrap_or_default() }
        } else {
            Shape::Index { manifests: wire.manifests.flatten().unwrap_or_default() }
        };
        Ok(Self { media_type, shape })
    }
}

fn agree(agrees: bool, given: MediaType) -> Result<MediaType> {
    let error = || Error::new(ErrorKind::InvalidManifest, "mediaType in manifest does not match manifest contents");
    if agrees { Ok(given) } else { Err(error().with("mediaType", given)) }
}

/// `Some(None)` is a key that is there with `null`, which counts as present.
#[derive(Default)]
struct WireDocument {
    media_type: Option<MediaType>,
    /// It may be the empty object: an image manifest without a config.
    config: Option<Option<WireDescriptor>>,
    layers: Option<Option<Vec<Descriptor>>>,
    manifests: Option<Option<Vec<Descriptor>>>,
}

go_struct!(WireDocument {
    "mediatype" => take(media_type),
    "config" => take_given(config),
    "layers" => take_given(layers),
    "manifests" => take_given(manifests),
});

/// Takes the next value, and keeps that it was given, also if it is `null`.
fn take_given<'de, T, A>(slot: &mut Option<Option<T>>, map: &mut A) -> Result<(), A::Error>
where
    T: Deserialize<'de>,
    A: MapAccess<'de>,
{
    *slot = Some(map.next_value()?);
    Ok(())
}

/// The document of a form around a config and one descriptor per layer, in the layers' order.
pub(super) struct Written<'a> {
    pub(super) form: ManifestForm,
    pub(super) config: &'a Descriptor,
    pub(super) layers: &'a [Cow<'a, Descriptor>],
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schemaVersion", &2)?;
        map.serialize_entry("mediaType", &self.form.media_type())?;
        if self.form == ManifestForm::ImageManifest {
            map.serialize_entry("config", self.config)?;
            map.serialize_entry("layers", self.layers)?;
            return map.end();
        }
        let manifests: Vec<_> = self.layers.iter().map(Cow::as_ref).chain([self.config]).collect();
        map.serialize_entry("manifests", &manifests)?;
        map.end()
    }
}
