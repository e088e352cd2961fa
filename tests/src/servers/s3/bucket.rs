//! The file system of `s3s`, with atomic conditional writes and a list of open uploads, which it lacks.

use std::collections::BTreeMap;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use cache_kit::ContentRange;
use futures_util::stream;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CompletedMultipartUpload, CompletedPart, CopyObjectInput, CopyObjectOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, ETag,
    GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
    ListBucketsInput, ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsInput,
    ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, MultipartUpload,
    PutObjectInput, PutObjectOutput, StreamingBlob, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::{BUCKET, Options};

/// Bytes of a large object that are read at once.
const PIECE: usize = 256 << 10;

/// The smallest size of a part other than the last one, in S3 and in the file system.
const SMALLEST_PART: usize = 5 << 20;

/// The open uploads; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Uploads(Arc<Mutex<BTreeMap<String, Upload>>>);

#[derive(Debug, Clone)]
struct Upload {
    key: String,
    begun: SystemTime,
}

impl Uploads {
    /// Their keys.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.all().values().map(|upload| upload.key.clone()).collect()
    }

    /// Makes all of them older.
    pub fn age(&self, by: Duration) {
        self.all().values_mut().for_each(|upload| upload.begun -= by);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Upload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, id: &str) -> S3Result<()> {
        if self.all().contains_key(id) { Ok(()) } else { Err(s3_error!(NoSuchUpload)) }
    }
}

pub(super) struct Watched {
    folder: PathBuf,
    inner: FileSystem,
    options: Options,
    uploads: Uploads,
    /// Indexes are written and opened one at a time. The file system checks a condition before it writes, and opens a
    /// file before it reads the ETag, which would be the next one's if another write comes in between.
    turn: tokio::sync::Mutex<()>,
}

impl Watched {
    pub(super) fn new(folder: &Path, options: Options) -> Self {
        let inner = FileSystem::new(folder).expect("the folder can be read");
        Self {
            folder: folder.to_owned(),
            inner,
            options,
            uploads: Uploads::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn uploads(&self) -> Uploads {
        self.uploads.clone()
    }

    /// Refuses other buckets, since the file system creates any bucket that is written to.
    fn check_bucket(bucket: &str) -> S3Result<()> {
        if bucket == BUCKET { Ok(()) } else { Err(s3_error!(NoSuchBucket, "The specified bucket does not exist")) }
    }

    async fn turn(&self, key: &str, is_conditional: bool) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let takes_turns = is_conditional || key.contains("manifests/");
        if takes_turns { Some(self.turn.lock().await) } else { None }
    }

    /// Joins the parts if one is smaller than the file system accepts; tests use small parts for speed. `None` if there
    /// is nothing to join.
    async fn join_small(&self, id: &str, parts: usize) -> Option<()> {
        let paths: Vec<PathBuf> =
            (1..=parts).map(|number| self.folder.join(format!(".upload_id-{id}.part-{number}"))).collect();
        let mut joined = Vec::new();
        let mut is_small = false;
        for path in &paths {
            let part = tokio::fs::read(path).await.ok()?;
            is_small |= part.len() < SMALLEST_PART;
            joined.extend(part);
        }
        let (first, others) = paths.split_first().filter(|(_, others)| is_small && !others.is_empty())?;
        tokio::fs::write(first, joined).await.ok()?;
        for path in others {
            tokio::fs::remove_file(path).await.ok()?;
        }
        Some(())
    }

    /// The ETag of an object; `None` if the object was deleted.
    async fn etag(&self, bucket: String, key: String) -> Option<ETag> {
        let input = HeadObjectInput::builder().bucket(bucket).key(key).build().ok()?;
        let req = S3Request {
            input,
            method: hyper::Method::HEAD,
            uri: hyper::Uri::default(),
            headers: hyper::HeaderMap::default(),
            extensions: hyper::http::Extensions::default(),
            credentials: None,
            region: None,
            service: None,
            trailing_headers: None,
        };
        self.inner.head_object(req).await.ok()?.output.e_tag
    }
}

/// Streams a range of a file in large pieces. The file system reads 4 KiB at a time, which takes more time than the
/// client.
async fn pieces(path: &Path, range: Option<&str>, length: u64) -> S3Result<StreamingBlob> {
    let start = range.and_then(|range| ContentRange::parse(range).start).unwrap_or_default();
    let open = async {
        let mut file = File::open(path).await?;
        file.seek(SeekFrom::Start(start)).await?;
        Ok(file.take(length))
    };
    let file = open.await.map_err(|error: std::io::Error| s3_error!(error, InternalError))?;
    let pieces = stream::try_unfold(file, |mut file| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (piece.freeze(), file)))
    });
    Ok(StreamingBlob::wrap(pieces))
}

#[async_trait::async_trait]
impl S3 for Watched {
    async fn put_object(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        Self::check_bucket(&req.input.bucket)?;
        let is_conditional = req.input.if_match.is_some() || req.input.if_none_match.is_some();
        if !self.options.honours_conditions {
            (req.input.if_match, req.input.if_none_match) = (None, None);
        }
        let _turn = self.turn(&req.input.key, is_conditional).await;
        self.inner.put_object(req).await
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        if !self.options.copies {
            return Err(s3_error!(NotImplemented));
        }
        self.inner.copy_object(req).await
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        if !self.options.deletes_batches {
            return Err(s3_error!(NotImplemented));
        }
        self.inner.delete_objects(req).await
    }

    async fn list_objects_v2(
        &self,
        mut req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        req.input.max_keys = Some(req.input.max_keys.unwrap_or(1_000).min(self.options.page));
        let bucket = req.input.bucket.clone();
        let mut listed = self.inner.list_objects_v2(req).await?;
        for object in listed.output.contents.iter_mut().flatten() {
            // The file system leaves the ETag out of lists.
            let key = object.key.clone().unwrap_or_default();
            object.e_tag = self.etag(bucket.clone(), key).await.filter(|_| self.options.tells_tags);
        }
        Ok(listed)
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        Self::check_bucket(&req.input.bucket)?;
        let key = req.input.key.clone();
        let made = self.inner.create_multipart_upload(req).await?;
        if let Some(id) = &made.output.upload_id {
            self.uploads.all().insert(id.clone(), Upload { key, begun: SystemTime::now() });
        }
        Ok(made)
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        self.uploads.check(&req.input.upload_id)?;
        self.inner.upload_part(req).await
    }

    async fn upload_part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        self.uploads.check(&req.input.upload_id)?;
        self.inner.upload_part_copy(req).await
    }

    async fn complete_multipart_upload(
        &self,
        mut req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let id = req.input.upload_id.clone();
        self.uploads.check(&id)?;
        let parts = req.input.multipart_upload.as_ref().and_then(|upload| upload.parts.as_ref()).map_or(0, Vec::len);
        if self.join_small(&id, parts).await.is_some() {
            let whole = CompletedPart { part_number: Some(1), ..CompletedPart::default() };
            req.input.multipart_upload = Some(CompletedMultipartUpload { parts: Some(vec![whole]) });
        }
        let done = self.inner.complete_multipart_upload(req).await?;
        self.uploads.all().remove(&id);
        Ok(done)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let id = req.input.upload_id.clone();
        self.uploads.check(&id)?;
        let done = self.inner.abort_multipart_upload(req).await?;
        self.uploads.all().remove(&id);
        Ok(done)
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let prefix = req.input.prefix.unwrap_or_default();
        let uploads = self.uploads.all();
        let below = uploads.iter().filter(|(_, upload)| upload.key.starts_with(&prefix));
        let listed = below.map(|(id, upload)| MultipartUpload {
            key: Some(upload.key.clone()),
            upload_id: Some(id.clone()),
            initiated: Some(upload.begun.into()),
            ..MultipartUpload::default()
        });
        let output = ListMultipartUploadsOutput {
            uploads: Some(listed.collect()),
            is_truncated: Some(false),
            ..ListMultipartUploadsOutput::default()
        };
        Ok(S3Response::new(output))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.inner.delete_object(req).await
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        Self::check_bucket(&req.input.bucket)?;
        let _turn = self.turn(&req.input.key, false).await;
        let path = self.folder.join(&req.input.bucket).join(&req.input.key);
        let mut got = self.inner.get_object(req).await?;
        got.output.e_tag = got.output.e_tag.filter(|_| self.options.tells_tags);
        let length = got.output.content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or_default();
        if length > PIECE as u64 {
            got.output.body = Some(pieces(&path, got.output.content_range.as_deref(), length).await?);
        }
        Ok(got)
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.inner.head_bucket(req).await
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let _turn = self.turn(&req.input.key, false).await;
        let mut head = self.inner.head_object(req).await?;
        head.output.e_tag = head.output.e_tag.filter(|_| self.options.tells_tags);
        Ok(head)
    }

    async fn list_buckets(&self, req: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        self.inner.list_buckets(req).await
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        self.inner.list_objects(req).await
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        self.inner.list_parts(req).await
    }
}
