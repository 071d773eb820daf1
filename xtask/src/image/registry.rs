//! A registry of images, spoken to as OCI's distribution specification says.

use std::{fmt, time::Duration};

use anyhow::{Context, ensure};
use oci_client::{
    Client, Reference, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    errors::{OciDistributionError as Error, OciErrorCode},
};
use oci_spec::image::Descriptor;

pub(super) use oci_client::secrets::RegistryAuth as Credentials;

use super::{build::megabytes, layout::Layout};
use crate::{
    exit::{Exit, Failed},
    progress::{self, Step},
};

/// Where images of one name are kept: `HOST[:PORT]/NAME`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Repository {
    registry: String,
    name: String,
}

impl Repository {
    /// For the command line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let form = "it should be HOST[:PORT]/NAME, without a tag or a digest";
        let (registry, name) = text.split_once('/').ok_or(form)?;
        let is_host = registry == "localhost" || registry.contains(['.', ':']);
        if !is_host || name.contains([':', '@']) {
            return Err(form.to_owned());
        }
        text.parse::<Reference>()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            registry: registry.to_owned(),
            name: name.to_owned(),
        })
    }

    fn tagged(&self, tag: &str) -> Reference {
        Reference::with_tag(self.registry.clone(), self.name.clone(), tag.to_owned())
    }

    /// Whether what is said to it leaves this machine.
    fn is_local(&self) -> bool {
        let host = self.registry.rsplit_once(':');
        let host = host.map_or(self.registry.as_str(), |(host, _)| host);
        host == "localhost" || host == "[::1]" || host.starts_with("127.")
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.name)
    }
}

/// How much was sent, in bytes, and how much did not have to be.
#[derive(Default)]
pub(super) struct Pushed {
    pub(super) sent: u64,
    pub(super) there: u64,
}

pub(super) struct Registry {
    client: Client,
    credentials: Credentials,
    repository: Repository,
    image: Reference,
}

/// How often something is tried, and how long is waited after the first failure; then twice as long each time.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

impl Registry {
    pub(super) fn new(
        repository: Repository,
        credentials: Credentials,
        tag: &str,
    ) -> anyhow::Result<Self> {
        // Whoever was first decided on the same one.
        drop(rustls::crypto::ring::default_provider().install_default());
        let protocol = if repository.is_local() {
            ClientProtocol::Http
        } else {
            ClientProtocol::Https
        };
        let client = Client::try_from(ClientConfig {
            protocol,
            use_monolithic_push: true,
            connect_timeout: Some(Duration::from_secs(10)),
            read_timeout: Some(Duration::from_secs(60)),
            user_agent: concat!("taskhub-xtask/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        })?;
        Ok(Self {
            image: repository.tagged(tag),
            client,
            credentials,
            repository,
        })
    }

    /// Sends what the registry lacks, the manifest last, and asks what it then has.
    ///
    /// # Errors
    /// [`Exit::Refused`] where the tag names another image, [`Exit::Denied`] where the credentials do not do.
    pub(super) fn push(&self, layout: &Layout) -> anyhow::Result<Pushed> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.push_all(layout))
    }

    async fn push_all(&self, layout: &Layout) -> anyhow::Result<Pushed> {
        let digest = layout.manifest.digest().to_string();
        let sign_in = || {
            self.client
                .auth(&self.image, &self.credentials, RegistryOperation::Push)
        };
        self.explained(retried(PAUSE, sign_in).await)?;
        let mut pushed = Pushed::default();
        match self.standing().await? {
            Some(standing) if standing == digest => {
                pushed.there = layout.size();
                return Ok(pushed);
            }
            Some(standing) => {
                let why = format!(
                    "{} is {standing} already, and this image is {digest}: a commit has one image",
                    self.image
                );
                return Err(Failed::because(Exit::Refused, why));
            }
            None => {}
        }
        for part in layout.layers.iter().chain([&layout.config]) {
            self.send(layout, part, &mut pushed).await?;
        }
        self.send_manifest(layout).await?;
        pushed.sent += layout.manifest.size();
        let standing = self.standing().await?;
        ensure!(
            standing.as_deref() == Some(digest.as_str()),
            "the registry took {digest} and now names {} {standing:?}",
            self.image
        );
        Ok(pushed)
    }

    /// The digest that the tag names now.
    async fn standing(&self) -> anyhow::Result<Option<String>> {
        let ask = || {
            self.client
                .fetch_manifest_digest(&self.image, &self.credentials)
        };
        match retried(PAUSE, ask).await {
            Err(error) if is_absent(&error) => Ok(None),
            asked => self.explained(asked).map(Some),
        }
    }

    async fn send(
        &self,
        layout: &Layout,
        part: &Descriptor,
        pushed: &mut Pushed,
    ) -> anyhow::Result<()> {
        let digest = part.digest().to_string();
        let exists = || self.client.blob_exists(&self.image, &digest);
        if self.explained(retried(PAUSE, exists).await)? {
            pushed.there += part.size();
            return Ok(());
        }
        let step = Step::start();
        let bytes = layout.read(part)?;
        let send = || self.client.push_blob(&self.image, bytes.clone(), &digest);
        self.explained(retried(PAUSE, send).await)
            .with_context(|| format!("sending {digest}"))?;
        pushed.sent += part.size();
        step.done(format_args!("{} sent, {digest}", megabytes(part.size())));
        Ok(())
    }

    async fn send_manifest(&self, layout: &Layout) -> anyhow::Result<()> {
        let bytes = layout.read(&layout.manifest)?;
        let kind: &str = layout.manifest.media_type().as_ref();
        let send = || async {
            let kind = kind
                .parse()
                .map_err(|_| Error::UnsupportedMediaTypeError(kind.to_owned()))?;
            self.client
                .push_manifest_raw(&self.image, bytes.clone(), kind)
                .await
        };
        self.explained(retried(PAUSE, send).await)
            .map(drop)
            .context("sending the manifest")
    }

    /// Says what a person can do about an answer.
    fn explained<T>(&self, answer: Result<T, Error>) -> anyhow::Result<T> {
        let error = match answer {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let registry = &self.repository.registry;
        if is_denial(&error) {
            let why = format!(
                "{registry} refuses the credentials, or they may not push {}: give TASKHUB_REGISTRY_AUTH, or \
                 --username and --password-stdin ({error})",
                self.repository.name
            );
            return Err(Failed::because(Exit::Denied, why));
        }
        let told = anyhow::Error::new(error);
        Err(told.context(format!("the registry {registry}")))
    }
}

/// Tries again what may succeed the next time.
async fn retried<T, F: Future<Output = Result<T, Error>>>(
    mut pause: Duration,
    work: impl Fn() -> F,
) -> Result<T, Error> {
    for _ in 1..TRIES {
        match work().await {
            Err(error) if is_passing(&error) => {
                progress::say(format_args!(
                    "            again in {:.1} s: {error}",
                    pause.as_secs_f64()
                ));
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            done => return done,
        }
    }
    work().await
}

/// The status of an answer, whichever way the client tells of it.
fn status(error: &Error) -> Option<u16> {
    if let Error::RequestError(error) = error {
        return error.status().map(|status| status.as_u16());
    }
    if let Error::ServerError { code, .. } = error {
        return Some(*code);
    }
    matches!(
        error,
        Error::UnauthorizedError { .. } | Error::AuthenticationFailure(_)
    )
    .then_some(401)
}

fn says(error: &Error, wanted: &[OciErrorCode]) -> bool {
    let Error::RegistryError { envelope, .. } = error else {
        return false;
    };
    envelope
        .errors
        .iter()
        .any(|error| wanted.contains(&error.code))
}

fn is_absent(error: &Error) -> bool {
    status(error) == Some(404)
        || matches!(error, Error::ImageManifestNotFoundError(_))
        || says(
            error,
            &[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown],
        )
}

fn is_denial(error: &Error) -> bool {
    matches!(status(error), Some(401 | 403))
        || says(error, &[OciErrorCode::Unauthorized, OciErrorCode::Denied])
}

/// A fault of the network, a registry that is overloaded, or one that is being replaced.
fn is_passing(error: &Error) -> bool {
    match status(error) {
        Some(status) => status == 429 || status >= 500,
        None => {
            matches!(error, Error::RequestError(_)) || says(error, &[OciErrorCode::Toomanyrequests])
        }
    }
}

#[cfg(test)]
mod tests;
