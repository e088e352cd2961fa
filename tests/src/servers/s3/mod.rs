//! An S3 store: `s3s` with its file system, which checks signatures and checksums, with atomic writes and a log.

mod bucket;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cache_core::Digest;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::TRANSFER_ENCODING;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;

pub use self::bucket::Uploads;
use self::bucket::Watched;
use super::http::{self, Answer, Service};
pub use super::http::{Fault, Logged, Plan};

/// The access key, which is allowed everything.
pub const ACCESS_KEY: &str = "AKIATESTS3BUILDCACHE";
/// Its secret key.
pub const SECRET_KEY: &str = "swordfish/3f9a+wJalrXUtnFEMI";
/// The only bucket.
pub const BUCKET: &str = "team";

/// The options of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether conditions are checked; otherwise everything is overwritten, as in some stores.
    pub honours_conditions: bool,
    /// Whether objects can be copied.
    pub copies: bool,
    /// Whether many objects can be deleted at once.
    pub deletes_batches: bool,
    /// Whether answers to reads and lists have ETags; those to writes always do.
    pub tells_tags: bool,
    /// The most objects in a page of a list.
    pub page: i32,
}

impl Default for Options {
    /// Everything that AWS has, with pages of 50.
    fn default() -> Self {
        Self { honours_conditions: true, copies: true, deletes_batches: true, tells_tags: true, page: 50 }
    }
}

/// A running store with one empty bucket; it stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    http: http::Server<Shared>,
    folder: TempDir,
}

struct Shared {
    service: S3Service,
    uploads: Uploads,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("uploads", &self.uploads).finish_non_exhaustive()
    }
}

/// The service for a store in a folder, to be served in another way.
///
/// # Panics
/// If the folder cannot be written.
#[must_use]
pub fn service(folder: &Path, options: Options) -> (S3Service, Uploads) {
    fs::create_dir_all(folder.join(BUCKET)).expect("the folder can be written");
    let watched = Watched::new(folder, options);
    let uploads = watched.uploads();
    let mut builder = S3ServiceBuilder::new(watched);
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    (builder.build(), uploads)
}

impl Server {
    /// Starts a store on a free port.
    ///
    /// # Panics
    /// If no port is free, or the folder cannot be created.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let folder = TempDir::with_prefix("cache-tests-").expect("the folder for temporary files can be written");
        let (service, uploads) = service(folder.path(), options);
        Self { http: http::Server::start(move |_| Shared { service, uploads }), folder }
    }

    /// The URL of the store.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.http.host())
    }

    /// Plans a fault.
    pub fn plan(&self, plan: Plan) {
        self.http.plan(plan);
    }

    /// The HTTP server, to change its behaviour.
    #[must_use]
    pub fn http(&self) -> &http::Server<impl Service + use<>> {
        &self.http
    }

    /// The requests since the last call, in the order of their arrival.
    #[must_use]
    pub fn take_log(&self) -> Vec<Logged> {
        self.http.take_log()
    }

    /// The requests since the last call, in the form of [`short`].
    #[must_use]
    pub fn take_shorts(&self) -> Vec<String> {
        self.take_log().iter().map(short).collect()
    }

    /// The open uploads.
    #[must_use]
    pub fn uploads(&self) -> &Uploads {
        &self.http.service().uploads
    }

    /// The keys of all objects, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let root = self.folder.path().join(BUCKET);
        let mut keys = Vec::new();
        let mut todo = vec![root.clone()];
        while let Some(directory) = todo.pop() {
            for path in fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())) {
                match path.strip_prefix(&root) {
                    Ok(_) if path.is_dir() => todo.push(path),
                    Ok(key) => keys.push(key.display().to_string()),
                    Err(_) => {}
                }
            }
        }
        keys.sort();
        keys
    }

    /// The file of an object.
    #[must_use]
    pub fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(key)
    }

    /// Makes an object older.
    ///
    /// # Panics
    /// When it is not there.
    pub fn age(&self, key: &str, by: Duration) {
        self.set_modified(key, SystemTime::now() - by);
    }

    /// Sets when an object was last written.
    ///
    /// # Panics
    /// When it is not there.
    pub fn set_modified(&self, key: &str, modified: SystemTime) {
        let file = fs::OpenOptions::new().write(true).open(self.path(key)).expect("the object is there");
        file.set_modified(modified).expect("the file's time can be set");
    }

    /// How old an object is.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn age_of(&self, key: &str) -> Duration {
        let modified = fs::metadata(self.path(key)).and_then(|file| file.modified()).expect("the object is there");
        modified.elapsed().unwrap_or_default()
    }

    /// Deletes a blob.
    ///
    /// # Panics
    /// When it is not there.
    pub fn lose(&self, blob: &Digest) {
        fs::remove_file(self.path(&format!("blobs/{blob}"))).expect("the blob is there");
    }
}

impl Service for Shared {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let request = request.map(s3s::Body::from);
        let Ok(response) = self.service.call(request).await else { return http::empty(500) };
        let (mut parts, body) = response.into_parts();
        // The body is sent whole, with its length.
        parts.headers.remove(TRANSFER_ENCODING);
        match body.collect().await {
            Ok(body) => Answer::from_parts(parts, Full::new(body.to_bytes())),
            Err(_) => http::empty(500),
        }
    }
}

/// Method, kind and status: `PUT blobs 200`, `POST blobs?uploads 200`, `GET list 200`.
#[must_use]
pub fn short(logged: &Logged) -> String {
    let (path, query) = logged.path.split_once('?').unwrap_or((&logged.path, ""));
    let has = |name: &str| query.split('&').any(|field| field.split('=').next() == Some(name));
    let mut what =
        ["blobs", "manifests"].into_iter().find(|kind| path.contains(&format!("/{kind}/"))).unwrap_or("other");
    if has("list-type") {
        what = "list";
    }
    let marks = ["uploads", "partNumber", "uploadId", "delete"];
    let mark = marks.into_iter().find(|mark| has(mark)).map(|mark| format!("?{mark}")).unwrap_or_default();
    format!("{} {what}{mark} {}", logged.method, logged.status)
}
