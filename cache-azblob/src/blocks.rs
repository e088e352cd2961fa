//! Uploads: small blobs in one request, large ones as blocks in parallel and a list of them.

use async_trait::async_trait;
use azure_core::Uuid;
use bytes::Bytes;
use cache_core::Result;
use cache_kit::PartUpload;

use crate::client::{Client, Condition};

/// How long the name of a block is, in bytes. The service wants the names of all blocks of a blob to be of one length,
/// also those that others send at the same time, and this is BuildKit's.
const ID_LENGTH: usize = 64;

/// The upload of one blob.
///
/// Blocks that no list names are dropped by the service when the blob is written, or after a week.
pub(crate) struct Blocks<'a> {
    pub(crate) client: &'a Client,
    pub(crate) key: &'a str,
    pub(crate) condition: Condition,
}

#[async_trait]
impl PartUpload for Blocks<'_> {
    async fn put(&self, bytes: Bytes) -> Result<()> {
        self.client.retrying(|| self.client.put(self.key, bytes.clone(), &self.condition)).await.map(drop)
    }

    async fn begin(&self) -> Result<String> {
        Ok(Uuid::new_v4().simple().to_string())
    }

    async fn part(&self, upload: &str, number: u32, bytes: Bytes) -> Result<String> {
        let id = block_id(upload, number);
        self.client.retrying(|| self.client.put_block(self.key, &id, bytes.clone())).await?;
        Ok(String::new())
    }

    async fn complete(&self, upload: &str, parts: Vec<String>) -> Result<()> {
        let ids = || (1..).zip(&parts).map(|(number, _)| block_id(upload, number)).collect();
        self.client.retrying(|| self.client.put_block_list(self.key, ids(), &self.condition)).await
    }

    /// A service that puts the blocks together in its own way may have lost some.
    async fn stored_size(&self) -> Result<Option<u64>> {
        let found = self.client.retrying(|| self.client.head(self.key)).await?;
        Ok(found.map(|found| found.size))
    }

    /// The service cannot abort an upload: it drops the blocks after a while.
    async fn abort(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// The upload's number, the block's from 0 on, and zeros.
fn block_id(upload: &str, number: u32) -> Vec<u8> {
    let upload = Uuid::try_parse(upload).unwrap_or_default();
    let mut id = upload.as_bytes().to_vec();
    id.extend_from_slice(&number.saturating_sub(1).to_be_bytes());
    id.resize(ID_LENGTH, 0);
    id
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// The third block of an upload of a real BuildKit.
    #[test]
    fn blocks_are_named_as_buildkit_names_them() {
        let upload = "1aacb058-bdaa-4ca8-5ebe-6294dc498aa6";
        let expected = "GqywWL2qTKhevmKU3EmKpgAAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";
        assert_eq!(STANDARD.encode(block_id(upload, 3)), expected);
        assert_eq!(block_id(upload, 50_000).len(), ID_LENGTH);
    }
}
