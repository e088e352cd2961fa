//! The faults of the servers for each quirk.

#[cfg(any(feature = "azblob", feature = "s3"))]
use bytes::Bytes;

use crate::harness::Quirk;
#[cfg(any(feature = "azblob", feature = "s3"))]
use crate::servers::http::{Answer, Logged, full};
use crate::servers::http::{Fault, Method, Plan};

/// The faults of a quirk: for reads of blobs and documents below these paths, and for requests of a blob's size, which
/// have the method `size`.
pub(super) fn plans(quirk: Quirk, paths: &[&str], size: &Method) -> Vec<Plan> {
    let reads = |fault: Fault| paths.iter().map(|path| Plan::always(Method::GET, *path, fault.clone())).collect();
    match quirk {
        Quirk::NoRanges => reads(Fault::NoRange),
        Quirk::UntoldRanges => reads(Fault::UntoldRange),
        Quirk::OtherRangeFirst => paths.iter().map(|path| Plan::new(Method::GET, *path, Fault::OtherRange)).collect(),
        Quirk::Gzip => reads(Fault::Gzip),
        Quirk::GzipInName => reads(Fault::GzipInName),
        Quirk::LosesParts => paths.iter().map(|path| Plan::always(size.clone(), *path, Fault::Shorter)).collect(),
        Quirk::Silent => reads(Fault::Hold),
        Quirk::SilentInBodies => reads(Fault::StallAfter(10)),
    }
}

/// Sends each of these objects whole, whatever the range. Removing the range from the request would make the signature
/// invalid.
#[cfg(any(feature = "azblob", feature = "s3"))]
pub(super) fn whole(objects: Vec<(String, Bytes)>) -> impl Fn(&Logged) -> Option<Answer> {
    move |asked| {
        let path = asked.path.replace("%3A", ":").replace("%2F", "/");
        let object = objects.iter().find(|(key, _)| path.contains(key)).filter(|_| asked.method == Method::GET);
        object.map(|(_, bytes)| full(200, "application/octet-stream", bytes.clone()))
    }
}
