//! Signed URLs: the parts of block blobs that clients use.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use hyper::Method;
use hyper::header::HeaderName;

use super::entries::Entries;
use super::http::{Answer, empty, full, sliced};
use super::routes::{Asked, Refusal};
use super::{Dialect, Shared};

pub(super) const FOLDER: &str = "/devstoreaccount1/actions-cache/";

/// A URL that allows `permission` to anyone who has it.
pub(super) fn url(shared: &Shared, entries: &mut Entries, id: u64, permission: &str) -> String {
    let origin = shared.options.origin.clone().unwrap_or_else(|| format!("http://{}", shared.address));
    format!("{origin}{FOLDER}{id}?{}", entries.sign(id, permission, shared.options.url_ttl))
}

pub(super) fn route(shared: &Shared, asked: &Asked, id: &str) -> Result<Answer, Refusal> {
    let param = |name: &str| asked.param(name).unwrap_or_default();
    let id: u64 = id.parse().map_err(|_| missing("no such entry"))?;
    let mut entries = shared.entries();
    let until = param("se").parse().unwrap_or(0);
    if !entries.is_signed(id, param("sp"), until, param("sig")) {
        return Err(Refusal::new(403, "AuthenticationFailed", "signature not valid or expired"));
    }
    let is_writing = asked.method == Method::PUT;
    if is_writing && param("sp") != "w" {
        return Err(Refusal::new(403, "AuthorizationPermissionMismatch", "not a write url"));
    }
    let entry = entries.get(id).ok_or_else(|| missing("no such reservation"))?;
    if is_writing && shared.options.dialect == Dialect::Numbered {
        if asked.param("comp") != Some("blocklist") {
            entry.blocks.insert(number(param("blockid"))?.to_string(), asked.body.clone());
        }
        return Ok(identified(empty(201)));
    }
    if is_writing {
        match asked.param("comp") {
            Some("block") => {
                entry.blocks.insert(param("blockid").to_owned(), asked.body.clone());
            }
            Some("blocklist") => entry.bytes = Some(join(&entry.blocks, &String::from_utf8_lossy(&asked.body))?),
            None if asked.header("x-ms-blob-type") == Some("BlockBlob") => entry.bytes = Some(asked.body.clone()),
            None => return Err(Refusal::new(400, "MissingRequiredHeader", "x-ms-blob-type")),
            Some(other) => return Err(Refusal::new(400, "InvalidQueryParameterValue", other)),
        }
        return Ok(identified(empty(201)));
    }
    match &entry.bytes {
        Some(bytes) if entry.is_ready || param("sp") == "w" => {
            let range = asked.header("x-ms-range").or_else(|| asked.header("range"));
            part(bytes, range.filter(|_| shared.options.ranges)).map(identified)
        }
        _ => Err(missing("The specified blob does not exist.")),
    }
}

/// The number of a block in its id, which has 64 bytes in BuildKit and 48 in `@actions/cache`.
fn number(id: &str) -> Result<u32, Refusal> {
    let invalid = || Refusal::new(400, "InvalidQueryParameterValue", "invalid block id");
    let decoded = STANDARD.decode(id).map_err(|_| invalid())?;
    match decoded.len() {
        0 => Ok(0),
        64 => Ok(u32::from_be_bytes(decoded[16..20].try_into().map_err(|_| invalid())?)),
        48 => String::from_utf8_lossy(&decoded[36..]).parse().map_err(|_| invalid()),
        _ => Err(invalid()),
    }
}

/// The bytes, or a range of them.
pub(super) fn part(bytes: &Bytes, range: Option<&str>) -> Result<Answer, Refusal> {
    let answer = sliced("application/octet-stream", bytes.clone(), range);
    if answer.status() == 416 {
        let refusal = Refusal::new(416, "InvalidRange", "range not satisfiable");
        return Err(refusal.of_size(bytes.len()));
    }
    Ok(answer)
}

fn join(blocks: &std::collections::HashMap<String, Bytes>, list: &str) -> Result<Bytes, Refusal> {
    let ids = list.split('>').filter_map(|piece| piece.split_once("</")).map(|(id, _)| id).filter(|id| !id.is_empty());
    let mut joined = BytesMut::new();
    for id in ids {
        joined.extend_from_slice(blocks.get(id).ok_or_else(|| Refusal::new(400, "InvalidBlockList", "block missing"))?);
    }
    Ok(joined.freeze())
}

fn missing(message: &str) -> Refusal {
    Refusal::new(404, "BlobNotFound", message)
}

/// Adds the request id, without which BuildKit crashes.
fn identified(mut answer: Answer) -> Answer {
    let name = HeaderName::from_static("x-ms-request-id");
    answer.headers_mut().insert(name, "11111111-2222-3333-4444-555555555555".parse().expect("a header"));
    answer
}

/// An error of the blob service, in XML.
pub(super) fn refused(refusal: &Refusal) -> Answer {
    let Refusal { code, message, .. } = refusal;
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut answer = full(refusal.status, "application/xml", body.into());
    answer.headers_mut().insert("x-ms-error-code", code.parse().expect("a header"));
    identified(refusal.finish(answer))
}
