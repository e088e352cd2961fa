//! Requests of uploads in parts.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use cache_core::{ErrorKind, Result, Timestamp};

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

impl Client {
    /// Opens an upload, and answers with its name.
    pub(crate) async fn begin(&self, key: &str, content_type: Option<&str>) -> Result<String> {
        const MESSAGE: &str = "cannot begin the upload";
        let request = self.sdk().await.create_multipart_upload().bucket(self.config().bucket()).key(key);
        let request = request.content_type(content_type.unwrap_or(CONTENT_TYPE));
        let begun = self.send(MESSAGE, key, 0, request.send()).await?;
        begun.upload_id.ok_or_else(|| self.about(error::new(ErrorKind::Unavailable, "the upload has no name"), key))
    }

    /// Sends a part, and answers with its ETag.
    pub(crate) async fn part(&self, key: &str, upload: &str, number: u32, bytes: Bytes) -> Result<String> {
        let (connection, size) = (self.connection().await, bytes.len() as u64);
        let request = connection.sdk.upload_part().bucket(self.config().bucket()).key(key).upload_id(upload);
        let request = request.part_number(signed(number)).body(ByteStream::new(SdkBody::from(bytes))).customize();
        let request = if connection.is_guarded() { request.disable_payload_signing() } else { request };
        let sent = self.send("cannot upload the part", key, size, request.send()).await?;
        Ok(sent.e_tag.unwrap_or_default())
    }

    /// Makes a part of the object's own bytes from the first to the last one.
    pub(crate) async fn part_of_itself(
        &self,
        key: &str,
        upload: &str,
        (number, first, last): (u32, u64, u64),
    ) -> Result<String> {
        let request = self.sdk().await.upload_part_copy().bucket(self.config().bucket()).key(key).upload_id(upload);
        let request = request
            .part_number(signed(number))
            .copy_source(copy_source(self.config().bucket(), key))
            .copy_source_range(format!("bytes={first}-{last}"));
        let copied =
            self.send("cannot refresh a part of the object", key, (last - first) / STORE_SPEED, request.send()).await?;
        Ok(copied.copy_part_result.and_then(|result| result.e_tag).unwrap_or_default())
    }

    /// Makes the object of its parts.
    pub(crate) async fn complete(&self, key: &str, upload: &str, tags: &[String], size: u64) -> Result<()> {
        let parts =
            (1..).zip(tags).map(|(number, tag)| CompletedPart::builder().part_number(number).e_tag(tag).build());
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let request = self.sdk().await.complete_multipart_upload().bucket(self.config().bucket()).key(key);
        let request = request.upload_id(upload).multipart_upload(parts).set_mpu_object_size(i64::try_from(size).ok());
        self.send("cannot complete the upload", key, size / STORE_SPEED, request.send()).await.map(drop)
    }

    /// Gives an upload up.
    pub(crate) async fn abort(&self, key: &str, upload: &str) -> Result<()> {
        let request = self.sdk().await.abort_multipart_upload().bucket(self.config().bucket()).key(key);
        self.send("cannot abort the upload", key, 0, request.upload_id(upload).send()).await.map(drop)
    }

    /// A page of the uploads that are open below a prefix, after the last one of the page before.
    pub(crate) async fn open_uploads(
        &self,
        prefix: &str,
        after: Option<&OpenUpload>,
    ) -> Result<(Vec<OpenUpload>, bool)> {
        let request = self.sdk().await.list_multipart_uploads().bucket(self.config().bucket()).prefix(prefix);
        let request = request
            .set_key_marker(after.map(|upload| upload.key.clone()))
            .set_upload_id_marker(after.map(|upload| upload.id.clone()));
        let listed = self.send("cannot list the open uploads", prefix, 0, request.send()).await?;
        let uploads = listed.uploads.unwrap_or_default().into_iter().filter_map(|upload| {
            Some(OpenUpload { key: upload.key?, id: upload.upload_id?, begun: timestamp(upload.initiated) })
        });
        Ok((uploads.collect(), listed.is_truncated.unwrap_or(false)))
    }
}

/// Parts are at most 10,000.
fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
