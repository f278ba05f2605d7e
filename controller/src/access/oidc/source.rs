//! Where the keys come from: a file, or a web server over HTTPS.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Client;
use reqwest::redirect::Policy;
use rustls::ClientConfig;

use super::keys::Keys;
use super::{KeysFrom, OidcError};
use crate::trust;

/// The most that is read, in bytes. The sets of providers have some 10 KiB.
const BYTES_MAX: usize = 1 << 20;

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A place that has keys.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A file.
    File(PathBuf),
    /// A web server.
    Url { url: String, client: Client },
    /// What a test says.
    #[cfg(test)]
    Script(super::tests::Script),
}

impl Source {
    /// Makes what is needed to ask. Asks nobody.
    pub(super) fn open(from: &KeysFrom) -> Result<Self, OidcError> {
        match from {
            KeysFrom::File(file) => Ok(Self::File(file.clone())),
            KeysFrom::Url { url, ca_file } => {
                let client = client(url, ca_file.as_deref())?;
                Ok(Self::Url { url: url.clone(), client })
            }
        }
    }

    /// Reads the keys at once if they are in a file.
    pub(super) fn read_now(&self) -> Result<Option<Keys>, OidcError> {
        match self {
            Self::File(file) => read(file).map(Some),
            _ => Ok(None),
        }
    }

    /// Returns what errors call the place.
    pub(super) fn place(&self) -> String {
        match self {
            Self::File(file) => file.display().to_string(),
            Self::Url { url, .. } => url.clone(),
            #[cfg(test)]
            Self::Script(_) => "a script".to_owned(),
        }
    }

    /// Gets the keys. Whoever calls it sets a limit to how long that may take.
    pub(super) async fn fetch(&self) -> Result<Keys, OidcError> {
        match self {
            Self::File(file) => read_apart(file.clone()).await,
            Self::Url { url, client } => download(url, client).await,
            #[cfg(test)]
            Self::Script(script) => script.fetch().await,
        }
    }
}

/// Reads a file in a thread that may wait for a disk.
async fn read_apart(file: PathBuf) -> Result<Keys, OidcError> {
    let reading = tokio::task::spawn_blocking({
        let file = file.clone();
        move || read(&file)
    });
    let ended = reading.await;
    ended.unwrap_or_else(|source| Err(OidcError::File { file, source: io::Error::other(source) }))
}

fn read(file: &Path) -> Result<Keys, OidcError> {
    let failed = |source| OidcError::File { file: file.to_owned(), source };
    let mut text = Vec::new();
    let opened = File::open(file).map_err(failed)?;
    opened.take(BYTES_MAX as u64 + 1).read_to_end(&mut text).map_err(failed)?;
    parse(&file.display().to_string(), &text)
}

async fn download(url: &str, client: &Client) -> Result<Keys, OidcError> {
    let failed = |source: reqwest::Error| OidcError::Http {
        url: url.to_owned(),
        source: source.without_url(),
    };
    let mut response = client.get(url).send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(OidcError::Status { url: url.to_owned(), status: response.status().as_u16() });
    }
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        text.extend_from_slice(&chunk);
        if text.len() > BYTES_MAX {
            break;
        }
    }
    parse(url, &text)
}

fn parse(place: &str, text: &[u8]) -> Result<Keys, OidcError> {
    let place = place.to_owned();
    if text.len() > BYTES_MAX {
        return Err(OidcError::TooLarge { place, max: BYTES_MAX });
    }
    Keys::parse(text).map_err(|source| OidcError::Keys { place, source })
}

fn client(url: &str, ca_file: Option<&Path>) -> Result<Client, OidcError> {
    Client::builder()
        .tls_backend_preconfigured(tls(ca_file)?)
        .https_only(true)
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_MAX)
        .user_agent(concat!("keyturn/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|source| OidcError::Http { url: url.to_owned(), source })
}

fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, OidcError> {
    let whose = ca_file.map_or("of the system".to_owned(), |ca| format!("in `{}`", ca.display()));
    trust::tls(ca_file).map_err(|what| OidcError::Authorities { whose, what })
}
