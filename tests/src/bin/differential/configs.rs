//! Random configs, and random lookups.

use std::fmt::Write as _;

use cache_core::model::Limits;
use cache_core::{CacheKey, CacheManifest, Digest, MediaType, Result, annotation, load};
use cache_memory::MemoryCache;
use cache_tests::random::Random;
use serde_json::{Value, json};

/// A config as text, the blobs with descriptors, and lookups.
pub(super) struct Case {
    pub(super) document: String,
    pub(super) blobs: Vec<String>,
    pub(super) queries: Vec<Query>,
}

/// One lookup: a step with its inputs.
pub(super) struct Query {
    /// The digest in the record's key, whose output is 0.
    digest: Digest,
    pub(super) inputs: Vec<Vec<Asked>>,
}

/// An alternative: the records that an earlier query has found.
pub(super) struct Asked {
    pub(super) query: usize,
    pub(super) selector: String,
}

impl Query {
    pub(super) fn key(&self) -> CacheKey {
        CacheKey::output(self.digest, 0)
    }

    pub(super) fn to_json(&self) -> Value {
        let asked = |asked: &Asked| json!({ "query": asked.query, "selector": asked.selector });
        let inputs: Vec<Vec<Value>> = self.inputs.iter().map(|input| input.iter().map(asked).collect()).collect();
        json!({ "digest": self.digest.to_string(), "inputs": inputs })
    }
}

const SELECTORS: [&str; 3] = ["", "", "sha256:8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1"];
/// One time in three zones.
const ZONES: [&str; 3] = ["T07:00:00Z", "T12:30:00+05:30", "T02:00:00-05:00"];

impl Case {
    pub(super) fn random(random: &mut Random) -> Self {
        let records = 1 + random.below(60);
        let keys = 1 + records * (1 + random.below(3)) / 2;
        let mut writer = Writer { random, layers: 0, document: String::from("{"), queries: Vec::new() };
        writer.layers();
        writer.records(records, keys);
        writer.document.push('}');
        let Writer { document, queries, .. } = writer;
        // Some blobs have no descriptor.
        let blobs = (0..12).filter(|_| !random.is_one_in(12)).map(|n| blob(n).to_string()).collect();
        Self { document, blobs, queries }
    }

    /// Reads a document with the descriptors of the blobs, as from a registry.
    pub(super) async fn read(&self, document: &str) -> Result<CacheManifest> {
        let store = MemoryCache::new();
        let config = store.insert(document.to_owned());
        let layer = |blob: &String| {
            json!({ "mediaType": MediaType::OCI_LAYER, "digest": blob, "size": 1,
                "annotations": { (annotation::UNCOMPRESSED): blob } })
        };
        let config =
            json!({ "mediaType": MediaType::CACHE_CONFIG, "digest": config.to_string(), "size": document.len() });
        let layers: Vec<Value> = self.blobs.iter().map(layer).collect();
        let manifest = json!({ "config": config, "layers": layers }).to_string();
        let read = load(manifest.into(), &store, &Limits::default()).await?;
        Ok(read.expect("the manifest names a config"))
    }
}

fn blob(n: usize) -> Digest {
    Digest::sha256(format!("blob {n}").as_bytes())
}

struct Writer<'a> {
    random: &'a mut Random,
    layers: usize,
    document: String,
    queries: Vec<Query>,
}

impl Writer<'_> {
    fn layers(&mut self) {
        self.layers = 1 + self.random.below(12);
        let mut entries = Vec::new();
        for n in 0..self.layers {
            let blob = if self.random.is_one_in(60) {
                "no digest".to_owned()
            } else {
                blob(self.random.below(12)).to_string()
            };
            let parent = match self.random.below(80) {
                0 => "-0".to_owned(),
                1 => "99".to_owned(),
                2 => self.random.below(self.layers).to_string(),
                _ if n == 0 || self.random.is_one_in(3) => "-1".to_owned(),
                _ => self.random.below(n).to_string(),
            };
            entries.push(format!(r#"{{"blob":"{blob}","parent":{parent}}}"#));
        }
        let _ = write!(self.document, r#""layers":[{}]"#, entries.join(","));
    }

    fn records(&mut self, records: usize, keys: usize) {
        let mut entries = Vec::new();
        for n in 0..records {
            // In every cache of BuildKit, a key always has the same number of inputs.
            let key = self.random.below(keys);
            let (inputs, asked) = self.inputs(n, records, 1 + key % 2);
            let digest = Digest::sha256(format!("key {key}").as_bytes());
            let key = CacheKey::output(digest, 0);
            let (results, chains) = (self.results(n), self.chains(n));
            entries
                .push(format!(r#"{{"digest":"{key}","layers":[{results}],"chains":[{chains}],"inputs":[{inputs}]}}"#));
            self.queries.push(Query { digest, inputs: asked });
        }
        let _ = write!(self.document, r#","records":[{}]"#, entries.join(","));
    }

    /// The inputs of a record, and those of the lookup, which may be any of the alternatives.
    fn inputs(&mut self, n: usize, records: usize, count: usize) -> (String, Vec<Vec<Asked>>) {
        let (mut inputs, mut asked) = (Vec::new(), Vec::new());
        if n == 0 || self.random.is_one_in(5) {
            return (String::new(), asked);
        }
        for _ in 0..count {
            let (mut links, mut known) = (Vec::new(), Vec::new());
            for _ in 0..1 + self.random.below(3) {
                let selector = *self.random.pick(&SELECTORS);
                let near = n.saturating_sub(8);
                let link = near + self.random.below(n - near);
                // Some links dangle, or close a loop.
                let written = if self.random.is_one_in(2000) { self.random.below(records + 3) } else { link };
                links.push(format!(r#"{{"selector":"{selector}","link":{written}}}"#));
                if known.is_empty() || self.random.is_one_in(2) {
                    known.push(Asked { query: link, selector: selector.to_owned() });
                }
            }
            inputs.push(format!("[{}]", links.join(",")));
            asked.push(known);
        }
        (inputs.join(","), asked)
    }

    fn results(&mut self, n: usize) -> String {
        let count = [0, 1, 1, 1, 2, 3][self.random.below(6)];
        let mut results = Vec::new();
        for at in 0..count {
            // BuildKit treats results of one time and length as one, so each has another day. Some results are written
            // twice.
            let (layer, time) = (self.random.below(self.layers), self.time(n, at));
            results.push(format!(r#"{{"layer":{layer},"createdAt":"{time}"}}"#));
            if self.random.is_one_in(6) {
                results.push(format!(r#"{{"layer":{layer},"createdAt":"{}"}}"#, self.time(n, at)));
            }
        }
        results.join(",")
    }

    fn chains(&mut self, n: usize) -> String {
        if !self.random.is_one_in(8) {
            return String::new();
        }
        let mut layers: Vec<String> =
            (0..self.random.below(4)).map(|_| self.random.below(self.layers).to_string()).collect();
        if self.random.is_one_in(6) {
            layers.push("null".to_owned());
        }
        format!(r#"{{"layers":[{}],"createdAt":"{}"}}"#, layers.join(","), self.time(n, 9))
    }

    fn time(&mut self, n: usize, at: usize) -> String {
        let zone = match self.random.below(30) {
            0 => "T7:00:00Z",
            _ => self.random.pick(&ZONES),
        };
        format!("20{:02}-{:02}-{:02}{zone}", 10 + n % 80, 1 + at, 1 + n % 28)
    }
}
