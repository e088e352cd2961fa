//! Credentials: the account's key, a signature in the URL, or a token of Microsoft Entra ID.

mod chain;
mod shared_key;

pub(crate) use self::chain::Chain;
pub(crate) use self::shared_key::SharedKey;
