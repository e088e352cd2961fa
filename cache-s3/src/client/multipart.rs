//! Requests of uploads in parts.

use aws_sdk_s3::operation::list_multipart_uploads::ListMultipartUploadsOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use cache_core::{ErrorKind, Result, Timestamp};
use cache_kit::{NextPage, Page};

use super::{CONTENT_TYPE, Client, STORE_SPEED, timestamp};
use crate::error;
use crate::keys::copy_source;

/// An upload that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenUpload {
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) begun: Option<Timestamp>,
}

/// Where a page of open uploads begins: after this one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Marker {
    key: String,
    upload: Option<String>,
}

/// About how many bytes of an answer an upload takes, beside its key.
const ROW: u64 = 500;

impl Client {
    /// Opens an upload, and returns its identifier.
    pub(crate) async fn begin(&self, key: &str, content_type: Option<&str>) -> Result<String> {
        const MESSAGE: &str = "cannot begin the upload";
        let request = self.sdk().await?.create_multipart_upload().bucket(self.config().bucket()).key(key);
        let request = request.content_type(content_type.unwrap_or(CONTENT_TYPE));
        let begun = self.send(MESSAGE, key, None, request.send()).await?;
        begun
            .upload_id
            .ok_or_else(|| self.with_context(error::new(ErrorKind::Unsupported, "the upload has no name"), key))
    }

    /// Sends a part, and returns its ETag.
    pub(crate) async fn part(&self, key: &str, upload: &str, number: u32, bytes: Bytes) -> Result<String> {
        let (connection, size) = (self.connection().await?, bytes.len() as u64);
        let request = connection.sdk.upload_part().bucket(self.config().bucket()).key(key).upload_id(upload);
        let request = request.part_number(signed(number)).body(ByteStream::new(SdkBody::from(bytes))).customize();
        let request = if connection.is_guarded() { request.disable_payload_signing() } else { request };
        let sent = self.send("cannot upload the part", key, Some(size), request.send()).await?;
        Ok(sent.e_tag.unwrap_or_default())
    }

    /// Copies a range of the object itself as a part.
    pub(crate) async fn part_of_itself(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        first: u64,
        last: u64,
    ) -> Result<String> {
        let request = self.sdk().await?.upload_part_copy().bucket(self.config().bucket()).key(key).upload_id(upload);
        let request = request
            .part_number(signed(number))
            .copy_source(copy_source(self.config().bucket(), key))
            .copy_source_range(format!("bytes={first}-{last}"));
        let copied = self
            .send("cannot refresh a part of the object", key, Some((last - first) / STORE_SPEED), request.send())
            .await?;
        Ok(copied.copy_part_result.and_then(|result| result.e_tag).unwrap_or_default())
    }

    /// Assembles the object from its parts.
    pub(crate) async fn complete(&self, key: &str, upload: &str, tags: &[String], size: u64) -> Result<()> {
        let parts =
            (1..).zip(tags).map(|(number, tag)| CompletedPart::builder().part_number(number).e_tag(tag).build());
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let request = self.sdk().await?.complete_multipart_upload().bucket(self.config().bucket()).key(key);
        let request = request.upload_id(upload).multipart_upload(parts).set_mpu_object_size(i64::try_from(size).ok());
        self.send("cannot complete the upload", key, Some(size / STORE_SPEED), request.send()).await.map(drop)
    }

    /// Aborts an upload.
    pub(crate) async fn abort(&self, key: &str, upload: &str) -> Result<()> {
        let request = self.sdk().await?.abort_multipart_upload().bucket(self.config().bucket()).key(key);
        self.send("cannot abort the upload", key, None, request.upload_id(upload).send()).await.map(drop)
    }

    /// A page of the uploads that are open below a prefix.
    pub(crate) async fn open_uploads(&self, prefix: &str, at: Option<&Marker>) -> Result<Page<OpenUpload, Marker>> {
        let request = self.sdk().await?.list_multipart_uploads().bucket(self.config().bucket()).prefix(prefix);
        let request = request
            .set_key_marker(at.map(|at| at.key.clone()))
            .set_upload_id_marker(at.and_then(|at| at.upload.clone()));
        let listed = match self.send("cannot list the open uploads", prefix, None, request.send()).await {
            // `rclone serve s3` answers this if none is open.
            Err(error) if error.code() == Some("NoSuchUpload") => {
                return Ok(Page { items: Vec::new(), next: NextPage::End, bytes: 0 });
            }
            listed => listed?,
        };
        let next = next_page(&listed);
        let uploads = listed.uploads.unwrap_or_default().into_iter().filter_map(|upload| {
            Some(OpenUpload { key: upload.key?, id: upload.upload_id?, begun: timestamp(upload.initiated) })
        });
        let items: Vec<OpenUpload> = uploads.collect();
        let bytes = items.iter().fold(ROW, |sum, upload| sum.saturating_add(upload.key.len() as u64 + ROW));
        Ok(Page { items, next, bytes })
    }
}

/// The next page begins at the store's marker; without one, after the last upload.
fn next_page(listed: &ListMultipartUploadsOutput) -> NextPage<Marker> {
    if !listed.is_truncated.unwrap_or(false) {
        return NextPage::End;
    }
    let said = listed.next_key_marker.clone().filter(|key| !key.is_empty());
    let said = said.map(|key| Marker { key, upload: listed.next_upload_id_marker.clone() });
    let last = || {
        let last = listed.uploads().last()?;
        Some(Marker { key: last.key.clone()?, upload: last.upload_id.clone() })
    };
    said.or_else(last).map_or(NextPage::Lost, NextPage::At)
}

/// Parts are at most 10,000.
fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
