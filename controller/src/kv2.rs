//! A client of the key/value secrets engine, version 2, of HashiCorp Vault and OpenBao: what Keyturn
//! needs of it, and no more.
//!
//! Source: the HTTP API references of both, "KV secrets engine - version 2", "AppRole", "Kubernetes"
//! and "Tokens". Decisions: `docs/adr/0017`.
//!
//! A token goes to one host only, the configured one: a standby that sends its clients to another
//! host is told, and not obeyed. Values are in memory that is overwritten, and in no error or log.

mod call;
mod error;
mod login;
mod settings;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use reqwest::header::HeaderValue;
use reqwest::{Client, Method, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::call::Call;
pub use self::error::{Kv2Error, Refusal};
pub use self::login::LoginError;
use self::login::Session;
pub use self::settings::{Kv2Settings, Login, is_path};
pub use self::wire::{Metadata, Mount, Read, VersionState, Written};
use crate::remote::{self, Pace};

/// What it takes to write something that may be there or not.
const CHANGES: &str = "create\" and \"update";

/// One mount of the engine, and a folder in it. Keys are paths below that folder. Clones share the
/// token.
#[derive(Clone)]
pub struct Kv2 {
    http: Client,
    base: Url,
    host: String,
    /// The namespace, as a header.
    namespace: Option<HeaderValue>,
    /// The names of the namespace, the mount and the folder, one by one.
    place: Arc<Place>,
    session: Arc<Session>,
    pace: Pace,
}

struct Place {
    namespace: Vec<String>,
    mount: Vec<String>,
    folder: Vec<String>,
}

impl Kv2 {
    /// Makes a client. Asks nobody yet.
    ///
    /// # Errors
    /// Returns [`Kv2Error::Uri`], [`Kv2Error::Path`] or [`Kv2Error::Way`].
    pub fn open(settings: &Kv2Settings, pace: Pace) -> Result<Self, Kv2Error> {
        let wrong = || Kv2Error::Uri { given: settings.uri.clone() };
        let base = Url::parse(&settings.uri).map_err(|_source| wrong())?;
        let is_root = base.path() == "/" && base.query().is_none() && base.fragment().is_none();
        let nobody = base.username().is_empty() && base.password().is_none();
        if base.scheme() != "https" || !is_root || !nobody {
            return Err(wrong());
        }
        let host = base.host_str().ok_or_else(wrong)?.to_owned();
        let optional = |what, path: Option<&String>| match path {
            Some(path) => settings::names(what, path),
            None => Ok(Vec::new()),
        };
        let place = Place {
            namespace: optional("a namespace", settings.namespace.as_ref())?,
            mount: settings::names("a mount", &settings.mount)?,
            folder: optional("a folder", settings.prefix.as_ref())?,
        };
        let login = settings::names("a mount", settings.login.mount())?;
        let namespace = HeaderValue::from_str(&place.namespace.join("/"));
        let namespace = namespace.ok().filter(|_| !place.namespace.is_empty());
        let http = remote::client(&settings.way, &host, &pace)?;
        let session = Session::new(settings.login.clone(), login);
        let (place, session) = (Arc::new(place), Arc::new(session));
        Ok(Self { http, base, host, namespace, place, session, pace })
    }

    /// Returns where the vault is, without a slash at its end.
    #[must_use]
    pub fn server(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// Returns the URL below which the API has the data of keys, without a slash at its end.
    #[must_use]
    pub fn uri(&self) -> String {
        let Place { namespace, mount, folder } = &*self.place;
        let mut url = format!("{}/v1", self.server());
        for name in namespace.iter().chain(mount).map(String::as_str).chain(["data"]) {
            url = format!("{url}/{name}");
        }
        folder.iter().fold(url, |url, name| format!("{url}/{name}"))
    }

    /// Returns what the mount does with every key.
    ///
    /// # Errors
    /// Returns [`Kv2Error::NoEngine`] where there is no such mount, or one of version 1.
    pub async fn mount(&self) -> Result<Mount, Kv2Error> {
        let path: Vec<&str> = self.mount_names().chain(["config"]).collect();
        let doing = format!("look at the mount `{}`", self.place.mount.join("/"));
        let call = Call::new(Method::GET, self.url(&path)?, &doing).needs("read", path.join("/"));
        match self.send(call).await {
            Err(Kv2Error::NotFound { .. }) => Err(self.no_engine(doing, String::new())),
            answer => answer?.read(),
        }
    }

    /// Returns a version of a key.
    ///
    /// # Errors
    /// Returns [`Kv2Error`].
    pub async fn read<T: DeserializeOwned>(
        &self,
        key: &str,
        version: u64,
    ) -> Result<Read<T>, Kv2Error> {
        self.read_where(key, Some(version)).await
    }

    /// Returns the newest version of a key.
    ///
    /// # Errors
    /// Returns [`Kv2Error`].
    pub async fn read_newest<T: DeserializeOwned>(&self, key: &str) -> Result<Read<T>, Kv2Error> {
        self.read_where(key, None).await
    }

    async fn read_where<T: DeserializeOwned>(
        &self,
        key: &str,
        version: Option<u64>,
    ) -> Result<Read<T>, Kv2Error> {
        let mut call = self.call(Method::GET, "data", key, &format!("open `{key}`"), "read")?;
        if let Some(version) = version {
            call.url.query_pairs_mut().append_pair("version", &version.to_string());
        }
        match self.send(call.or_gone()).await {
            Err(Kv2Error::NotFound { .. }) => Ok(Read::Missing),
            answer => wire::value(&answer?),
        }
    }

    /// Writes a new version of a key, if its newest one is `cas`; 0 says that there must be none.
    ///
    /// # Errors
    /// Returns [`Kv2Error::Conflict`] where there is another one, and nothing was written.
    pub async fn write(
        &self,
        key: &str,
        data: &impl Serialize,
        cas: u64,
    ) -> Result<Written, Kv2Error> {
        let body = wire::New { options: wire::Options { cas }, data };
        let call = self.call(Method::POST, "data", key, &format!("write `{key}`"), CHANGES)?;
        self.send(call.with(&body)?).await?.read()
    }

    /// Returns what is known of a key and its versions; `None` if there is no such key.
    ///
    /// # Errors
    /// Returns [`Kv2Error`].
    pub async fn metadata(&self, key: &str) -> Result<Option<Metadata>, Kv2Error> {
        let doing = format!("look at `{key}`");
        match self.send(self.call(Method::GET, "metadata", key, &doing, "read")?).await {
            Err(Kv2Error::NotFound { .. }) => Ok(None),
            answer => answer?.read().map(Some),
        }
    }

    /// Describes a key anew, whether it is there or not. Whoever writes it has to say which version
    /// is replaced from then on, and its versions are kept for good.
    ///
    /// # Errors
    /// Returns [`Kv2Error`].
    pub async fn describe(
        &self,
        key: &str,
        custom: &BTreeMap<&str, &str>,
        versions_max: Option<u32>,
    ) -> Result<(), Kv2Error> {
        let body = wire::Described::new(custom, versions_max);
        let doing = format!("describe `{key}`");
        let call = self.call(Method::POST, "metadata", key, &doing, CHANGES)?;
        self.send(call.with(&body)?).await?.done()
    }

    /// Changes a part of a key's description and leaves the others.
    ///
    /// # Errors
    /// Returns [`Kv2Error::NotFound`] or another.
    pub async fn mark(&self, key: &str, custom: &BTreeMap<&str, &str>) -> Result<(), Kv2Error> {
        let body = wire::Marks { custom_metadata: custom };
        let doing = format!("mark `{key}`");
        let call = self.call(Method::PATCH, "metadata", key, &doing, "patch")?;
        self.send(call.with(&body)?).await?.done()
    }

    /// Deletes versions so that they can be brought back. One that is not there is deleted already.
    ///
    /// # Errors
    /// Returns [`Kv2Error`].
    pub async fn delete(&self, key: &str, versions: &[u64]) -> Result<(), Kv2Error> {
        self.change("delete", key, versions).await
    }

    /// Brings deleted versions back.
    ///
    /// # Errors
    /// Returns [`Kv2Error`].
    pub async fn undelete(&self, key: &str, versions: &[u64]) -> Result<(), Kv2Error> {
        self.change("undelete", key, versions).await
    }

    /// Removes the data of versions for ever; that they were there stays known.
    ///
    /// # Errors
    /// Returns [`Kv2Error`].
    pub async fn destroy(&self, key: &str, versions: &[u64]) -> Result<(), Kv2Error> {
        self.change("destroy", key, versions).await
    }

    async fn change(&self, verb: &str, key: &str, versions: &[u64]) -> Result<(), Kv2Error> {
        let call = self.call(Method::POST, verb, key, &format!("{verb} `{key}`"), "update")?;
        self.send(call.with(&wire::Versions { versions })?).await?.done()
    }

    /// Lists the names in a folder; none for one that is not there. Names of folders end in `/`.
    ///
    /// # Errors
    /// Returns [`Kv2Error`].
    pub async fn list(&self, folder: &str) -> Result<Vec<String>, Kv2Error> {
        let doing = format!("list `{folder}`");
        let mut call = self.call(Method::GET, "metadata", folder, &doing, "list")?;
        call.url.query_pairs_mut().append_pair("list", "true");
        match self.send(call).await {
            Err(Kv2Error::NotFound { .. }) => Ok(Vec::new()),
            answer => Ok(answer?.read::<wire::Keys>()?.keys),
        }
    }

    /// Returns a request about a key, and the capability that it takes.
    fn call(
        &self,
        method: Method,
        kind: &str,
        key: &str,
        doing: &str,
        capability: &'static str,
    ) -> Result<Call, Kv2Error> {
        let folder = self.place.folder.iter().map(String::as_str);
        let mut names: Vec<&str> = self.mount_names().chain([kind]).chain(folder).collect();
        let path = format!("{}/*", names.join("/"));
        names.extend(key.split('/'));
        Ok(Call::new(method, self.url(&names)?, doing).needs(capability, path))
    }

    fn mount_names(&self) -> impl Iterator<Item = &str> {
        self.place.mount.iter().map(String::as_str)
    }

    fn url(&self, path: &[&str]) -> Result<Url, Kv2Error> {
        let mut url = self.base.clone();
        let wrong = |()| Kv2Error::Uri { given: self.server() };
        // Pushing escapes what is no part of a name, so that nothing leaves its place.
        url.path_segments_mut().map_err(wrong)?.clear().push("v1").extend(path);
        Ok(url)
    }

    fn no_engine(&self, doing: String, said: String) -> Kv2Error {
        let mount = self.place.mount.join("/");
        Kv2Error::NoEngine { doing, vault: self.server(), mount, said }
    }
}

impl fmt::Debug for Kv2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kv2").field("uri", &self.uri()).finish_non_exhaustive()
    }
}
