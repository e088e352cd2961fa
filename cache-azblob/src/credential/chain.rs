//! Finds a token in the places where Azure's SDK for Go, and so BuildKit, looks, in the same order.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::Error as AzureError;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind as AzureKind;
use azure_core::http::{ClientOptions, RetryOptions, Transport};
use azure_identity::{
    AzureCliCredential, AzureDeveloperCliCredential, ClientSecretCredential, ClientSecretCredentialOptions,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use cache_core::{Error, ErrorKind, Result};
use cache_kit::check_file;

use crate::Environment;
use crate::client::{Connections, Peer};

/// Chooses a part of the chain.
const SELECTOR: &str = "AZURE_TOKEN_CREDENTIALS";
/// Names a file with a token, which the SDK reads whole at each refresh, and how large that may be.
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const LARGEST_TOKEN: u64 = 1 << 20;
/// The timeout for a source that may not exist.
const LOOK: Duration = Duration::from_secs(10);
/// How long a connection to the metadata service of a virtual machine may take. On other machines there is none.
const METADATA: Duration = Duration::from_secs(1);

/// The metadata service: without TLS and without a proxy.
const PLAIN: Peer = Peer { is_encrypted: false, is_near: true };

/// A source of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    ClientSecret,
    WorkloadIdentity,
    ManagedIdentity,
    AzureCli,
    AzureDeveloperCli,
}

impl Source {
    const ALL: [Self; 5] =
        [Self::ClientSecret, Self::WorkloadIdentity, Self::ManagedIdentity, Self::AzureCli, Self::AzureDeveloperCli];

    /// The name that the selector has for it.
    fn name(self) -> &'static str {
        match self {
            Self::ClientSecret => "EnvironmentCredential",
            Self::WorkloadIdentity => "WorkloadIdentityCredential",
            Self::ManagedIdentity => "ManagedIdentityCredential",
            Self::AzureCli => "AzureCLICredential",
            Self::AzureDeveloperCli => "AzureDeveloperCLICredential",
        }
    }

    fn is_of_developers(self) -> bool {
        matches!(self, Self::AzureCli | Self::AzureDeveloperCli)
    }

    /// The variables without which there is nothing to try.
    fn needs(self) -> &'static [&'static str] {
        match self {
            Self::ClientSecret => &["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"],
            Self::WorkloadIdentity => &["AZURE_TENANT_ID", "AZURE_CLIENT_ID", TOKEN_FILE],
            _ => &[],
        }
    }

    /// Whether it was configured explicitly: its failure is final, and no other source is tried.
    fn is_final(self) -> bool {
        !self.needs().is_empty()
    }
}

/// The sources in order; the first that gave a token is used from then on.
#[derive(Debug)]
pub(crate) struct Chain {
    links: Vec<(Source, Arc<dyn TokenCredential>)>,
    /// The message about skipped sources.
    left_out: Vec<String>,
    /// One more than the number of the source that gave a token.
    found: AtomicUsize,
}

impl Chain {
    /// Reads the variables; sends no request.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] if the selector names no supported source, or no source can be tried.
    pub(crate) fn new(environment: &Environment, transport: &Transport) -> Result<Self> {
        let (mut links, mut left_out) = (Vec::new(), Vec::new());
        for source in selected(environment.filled(SELECTOR))? {
            let missing: Vec<&str> =
                source.needs().iter().copied().filter(|name| environment.filled(name).is_none()).collect();
            if !missing.is_empty() {
                left_out.push(format!("{}: {} not set", source.name(), missing.join(", ")));
                continue;
            }
            match open(source, environment, transport) {
                Ok(credential) => links.push((source, credential)),
                Err(error) => left_out.push(format!("{}: {error}", source.name())),
            }
        }
        Ok(Self { links, left_out, found: AtomicUsize::new(0) })
    }

    async fn first(&self, scopes: &[&str]) -> azure_core::Result<AccessToken> {
        let mut said = self.left_out.clone();
        for (at, (source, credential)) in self.links.iter().enumerate() {
            let tried = match tokio::time::timeout(LOOK, credential.get_token(scopes, None)).await {
                Ok(tried) => tried.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer in {} s", LOOK.as_secs())),
            };
            match tried {
                Ok(token) => {
                    self.found.store(at + 1, Ordering::Relaxed);
                    return Ok(token);
                }
                Err(error) => said.push(format!("{}: {error}", source.name())),
            }
            if source.is_final() {
                break;
            }
        }
        Err(AzureError::with_message(AzureKind::Credential, said.join("; ")))
    }
}

#[async_trait]
impl TokenCredential for Chain {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let found = self.found.load(Ordering::Relaxed).checked_sub(1).and_then(|at| self.links.get(at));
        match found {
            Some((_, credential)) => credential.get_token(scopes, options).await,
            None => self.first(scopes).await,
        }
    }
}

fn selected(selector: Option<&str>) -> Result<Vec<Source>> {
    let Some(selector) = selector else { return Ok(Source::ALL.to_vec()) };
    let is_chosen = |source: &Source| match selector.to_ascii_lowercase().as_str() {
        "dev" => source.is_of_developers(),
        "prod" => !source.is_of_developers(),
        name => source.name().to_ascii_lowercase() == name,
    };
    let chosen: Vec<Source> = Source::ALL.into_iter().filter(is_chosen).collect();
    if chosen.is_empty() {
        let names = Source::ALL.map(Source::name).join(", ");
        let error = Error::new(ErrorKind::InvalidSpec, "no such credential").with("variable", SELECTOR);
        return Err(error.with("value", format!("{selector:?}")).with_hint(format!("it takes dev, prod, {names}")));
    }
    Ok(chosen)
}

fn open(
    source: Source,
    environment: &Environment,
    transport: &Transport,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let filled = |name| environment.filled(name).unwrap_or_default().to_owned();
    let client_options = ClientOptions { transport: Some(transport.clone()), ..ClientOptions::default() };
    Ok(match source {
        Source::ClientSecret => {
            let options = ClientSecretCredentialOptions { client_options };
            let secret = Secret::new(filled("AZURE_CLIENT_SECRET"));
            ClientSecretCredential::new(&filled("AZURE_TENANT_ID"), filled("AZURE_CLIENT_ID"), secret, Some(options))?
        }
        Source::WorkloadIdentity => {
            let file = PathBuf::from(filled(TOKEN_FILE));
            check_file(&file, LARGEST_TOKEN).map_err(|cause| {
                AzureError::with_message(AzureKind::Credential, format!("cannot read {}: {cause}", file.display()))
            })?;
            let mut options = WorkloadIdentityCredentialOptions {
                client_id: Some(filled("AZURE_CLIENT_ID")),
                tenant_id: Some(filled("AZURE_TENANT_ID")),
                token_file_path: Some(file),
                ..WorkloadIdentityCredentialOptions::default()
            };
            options.credential_options.client_options = client_options;
            WorkloadIdentityCredential::new(Some(options))?
        }
        Source::ManagedIdentity => ManagedIdentityCredential::new(Some(managed_identity(environment)?))?,
        Source::AzureCli => AzureCliCredential::new(None)?,
        Source::AzureDeveloperCli => AzureDeveloperCliCredential::new(None)?,
    })
}

/// The metadata service answers soon or does not exist, so the wait is short and there is no retry.
fn managed_identity(environment: &Environment) -> azure_core::Result<ManagedIdentityCredentialOptions> {
    let mut timeouts = environment.tuning().timeouts();
    timeouts.connect = Some(METADATA);
    let connections = Connections::new(timeouts, environment.tuning().bounds(), PLAIN)
        .map_err(|error| AzureError::with_error(AzureKind::Credential, error, "cannot set up the connection"))?;
    let client_options = ClientOptions {
        transport: Some(Transport::new(Arc::new(connections))),
        retry: RetryOptions::none(),
        ..ClientOptions::default()
    };
    let id = environment.filled("AZURE_CLIENT_ID").map(|id| UserAssignedId::ClientId(id.to_owned()));
    Ok(ManagedIdentityCredentialOptions { user_assigned_id: id, client_options })
}

#[cfg(test)]
mod tests {
    use cache_kit::{Bounds, Timeouts};

    use super::*;

    fn chain(variables: &[(&str, &str)]) -> Result<Chain> {
        let environment =
            variables.iter().fold(Environment::new(), |all, (name, value)| all.with_variable(*name, *value));
        let connections = Connections::new(Timeouts::none(), Bounds::default(), PLAIN).unwrap();
        Chain::new(&environment, &Transport::new(Arc::new(connections)))
    }

    fn sources(variables: &[(&str, &str)]) -> Vec<Source> {
        chain(variables).unwrap().links.into_iter().map(|(source, _)| source).collect()
    }

    const SECRET: [(&str, &str); 3] =
        [("AZURE_TENANT_ID", "tenant"), ("AZURE_CLIENT_ID", "client"), ("AZURE_CLIENT_SECRET", "hush")];

    #[test]
    fn the_order_is_that_of_go() {
        use Source::{AzureCli, AzureDeveloperCli, ClientSecret, ManagedIdentity, WorkloadIdentity};
        assert_eq!(sources(&[]), [ManagedIdentity, AzureCli, AzureDeveloperCli]);
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "a token").unwrap();
        let path = token.path().display().to_string();
        let all = [&SECRET[..], &[("AZURE_FEDERATED_TOKEN_FILE", &path)]].concat();
        assert_eq!(sources(&all), [ClientSecret, WorkloadIdentity, ManagedIdentity, AzureCli, AzureDeveloperCli]);
        assert_eq!(sources(&all[1..]), [ManagedIdentity, AzureCli, AzureDeveloperCli]);
    }

    #[test]
    fn the_selector_leaves_a_part() {
        use Source::{AzureCli, AzureDeveloperCli, ClientSecret, ManagedIdentity};
        let with = |selector| sources(&[&SECRET[..], &[(SELECTOR, selector)]].concat());
        assert_eq!(with("dev"), [AzureCli, AzureDeveloperCli]);
        assert_eq!(with("PROD"), [ClientSecret, ManagedIdentity]);
        assert_eq!(with("azureclicredential"), [AzureCli]);
        assert_eq!(with(""), [ClientSecret, ManagedIdentity, AzureCli, AzureDeveloperCli]);
        let error = chain(&[(SELECTOR, "AzurePowerShellCredential")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSpec);
    }

    #[tokio::test]
    async fn a_source_without_its_variables_names_them() {
        let error =
            chain(&[(SELECTOR, "EnvironmentCredential"), ("AZURE_TENANT_ID", "t")]).unwrap().get_token(&[], None).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "EnvironmentCredential: AZURE_CLIENT_ID, AZURE_CLIENT_SECRET not set"
        );
    }

    #[test]
    fn no_secret_is_shown() {
        assert!(!format!("{:?}", chain(&SECRET).unwrap()).contains("hush"));
    }
}
