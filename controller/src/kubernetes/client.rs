//! The five requests that Keyturn makes.

use std::fmt;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::header::ACCEPT;
use axum::http::{HeaderValue, Request};
use kube::core::params::{GetParams, ListParams, Patch, PatchParams, PostParams};
use serde::Serialize;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::call::{Answer, Call, Told, written};
use super::connect::{Connection, NoIdentity};
use super::place::{self, Place};
use super::wire::{New, Object, Page, Properties, Secret};
use super::{KubernetesError, KubernetesSettings};
use crate::remote::Pace;

/// Secrets on a page of a list.
const PAGE: u32 = 250;

/// Pages that are read before a list is taken for endless.
const PAGES_MAX: usize = 4_000;

/// How often a list is begun anew that has changed too much while it was read.
const LISTS_MAX: u32 = 5;

/// What is asked for where the answer to a create would have its values in it.
const METADATA: HeaderValue = HeaderValue::from_static(
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
);

/// A client of the Secrets in one namespace.
pub struct Kubernetes {
    settings: KubernetesSettings,
    place: Place,
    pub(super) pace: Pace,
    /// Made when it is needed, and again when the identity is not taken.
    connection: Mutex<Option<Arc<Connection>>>,
}

/// What became of a Secret that was to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It was made.
    Made,
    /// There is one of that name: another's, or one that this very request has made.
    Exists,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It was made.
    Made,
    /// The Secret is in another state than was named, or gone.
    Conflict,
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes").field("uri", &self.uri()).finish_non_exhaustive()
    }
}

impl Kubernetes {
    /// Finds the cluster. Reads files, and asks nobody yet.
    ///
    /// # Errors
    /// Returns [`KubernetesError::Access`] or [`KubernetesError::Namespace`].
    pub async fn open(settings: &KubernetesSettings, pace: Pace) -> Result<Self, KubernetesError> {
        let place = place::find(settings).await?;
        Ok(Self { settings: settings.clone(), place, pace, connection: Mutex::new(None) })
    }

    /// Returns the namespace's URI, without a slash at its end.
    #[must_use]
    pub fn uri(&self) -> String {
        self.place.uri()
    }

    /// Returns where the API server is, without a slash at its end.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.place.server
    }

    /// Returns the namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.place.namespace
    }

    /// Makes a Secret, unless there is one of that name.
    ///
    /// # Errors
    /// Returns [`KubernetesError`]; [`KubernetesError::is_outcome_unknown`] tells whether it may be
    /// there all the same.
    pub async fn create(&self, new: &New) -> Result<Created, KubernetesError> {
        let doing = format!("make the Secret `{}`", new.name);
        let body = written(&new.body()).map_err(|source| unwritten(&doing, source))?;
        let request = self.requests().create(&PostParams::default(), Vec::new());
        let mut request = request.map_err(|source| unwritten(&doing, source))?;
        request.headers_mut().insert(ACCEPT, METADATA);
        let request = request.map(|_nothing| Bytes::from_owner(body));
        let call = Call { request, doing, verb: "create", object: new.name.clone() };
        match self.send(call).await? {
            Told::Exists => Ok(Created::Exists),
            told => self.is_about(&new.name, told, "make a Secret").map(|()| Created::Made),
        }
    }

    /// Looks at a Secret without opening it; `None` if there is none.
    ///
    /// # Errors
    /// Returns [`KubernetesError`].
    pub async fn look(&self, name: &str) -> Result<Option<Properties>, KubernetesError> {
        let doing = format!("look at the Secret `{name}`");
        let request = self.requests().get_metadata(name, &GetParams::default());
        let object = self.get(name, doing, request).await?;
        Ok(object.map(|object| object.metadata))
    }

    /// Opens a Secret; `None` if there is none.
    ///
    /// # Errors
    /// Returns [`KubernetesError`].
    pub async fn read(&self, name: &str) -> Result<Option<Secret>, KubernetesError> {
        let doing = format!("open the Secret `{name}`");
        let request = self.requests().get(name, &GetParams::default());
        let secret = |object: Object| {
            let (properties, data) = (object.metadata, object.data.unwrap_or_default());
            Secret { properties, data }
        };
        Ok(self.get(name, doing, request).await?.map(secret))
    }

    /// Changes a Secret by a JSON merge patch, which has to name the state that it is to be in
    /// (`metadata.resourceVersion`): else it would be made twice.
    ///
    /// # Errors
    /// Returns [`KubernetesError`].
    pub async fn change(
        &self,
        name: &str,
        patch: &(impl Serialize + Sync),
    ) -> Result<Changed, KubernetesError> {
        let doing = format!("change the Secret `{name}`");
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        let request = self.requests().patch_metadata(name, &params, &patch);
        let call = call(doing, "patch", name, request)?;
        match self.send(call).await? {
            Told::Conflict | Told::Absent => Ok(Changed::Conflict),
            told => self.is_about(name, told, "change a Secret").map(|()| Changed::Made),
        }
    }

    /// Lists the Secrets with a label, without opening them.
    ///
    /// # Errors
    /// Returns [`KubernetesError`].
    pub async fn list(&self, selector: &str) -> Result<Vec<Properties>, KubernetesError> {
        for _list in 0..LISTS_MAX {
            if let Some(all) = self.list_once(selector).await? {
                return Ok(all);
            }
        }
        let (doing, server) = ("list Secrets".to_owned(), self.server().to_owned());
        Err(KubernetesError::Contended { doing, server, tries: LISTS_MAX })
    }

    /// `None` if it has to be begun anew.
    async fn list_once(&self, selector: &str) -> Result<Option<Vec<Properties>>, KubernetesError> {
        let doing = "list Secrets";
        let (mut all, mut params) =
            (Vec::new(), ListParams::default().labels(selector).limit(PAGE));
        for _page in 0..PAGES_MAX {
            let call = call(doing.to_owned(), "list", "", self.requests().list_metadata(&params))?;
            let answer = match self.send(call).await? {
                Told::Expired => return Ok(None),
                told => done(told, self, doing)?,
            };
            let page = answer.read::<Page>()?;
            all.extend(page.items.into_iter().map(|object| object.metadata));
            match page.metadata.r#continue.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(Some(all)),
            }
        }
        let (doing, server) = (doing.to_owned(), self.server().to_owned());
        Err(KubernetesError::Answer { doing, server, got: "a list without an end" })
    }

    async fn get(
        &self,
        name: &str,
        doing: String,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Option<Object>, KubernetesError> {
        match self.send(call(doing.clone(), "get", name, request)?).await? {
            Told::Absent => Ok(None),
            told => {
                let answer = done(told, self, &doing)?;
                Ok(Some(object(name, &answer)?))
            }
        }
    }

    /// Checks that a change is confirmed by an API server, and not by what stands between.
    fn is_about(&self, name: &str, told: Told, doing: &str) -> Result<(), KubernetesError> {
        object(name, &done(told, self, doing)?).map(drop)
    }

    fn requests(&self) -> kube::core::Request {
        kube::core::Request::new(format!("/api/v1/namespaces/{}/secrets", self.place.namespace))
    }

    /// Returns the connection, which is made if there is none.
    pub(super) async fn connected(&self) -> Result<Arc<Connection>, KubernetesError> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = &*held {
            return Ok(Arc::clone(connection));
        }
        let made = Connection::new(&self.found_again().await?, &self.pace);
        let connection = Arc::new(made.map_err(|reason| self.unknown(reason))?);
        *held = Some(Arc::clone(&connection));
        Ok(connection)
    }

    pub(super) fn unknown(&self, reason: NoIdentity) -> KubernetesError {
        KubernetesError::Identity { server: self.server().to_owned(), what: reason.0 }
    }

    /// Reads again what may have changed: a kubeconfig gets new tokens, but no other cluster.
    async fn found_again(&self) -> Result<Place, KubernetesError> {
        let place = place::find(&self.settings).await?;
        if (&place.server, &place.namespace) == (&self.place.server, &self.place.namespace) {
            return Ok(place);
        }
        let what =
            format!("it was {} when Keyturn started, and is {} now", self.uri(), place.uri());
        Err(KubernetesError::Access { what })
    }

    /// Forgets a connection, unless others have made another one since.
    pub(super) async fn forget(&self, connection: &Arc<Connection>) {
        let mut held = self.connection.lock().await;
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, connection)) {
            *held = None;
        }
    }
}

fn unwritten(
    doing: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> KubernetesError {
    KubernetesError::Request { doing: doing.to_owned(), source: Box::new(source) }
}

fn call(
    doing: String,
    verb: &'static str,
    object: &str,
    request: Result<Request<Vec<u8>>, kube::core::request::Error>,
) -> Result<Call, KubernetesError> {
    let request = request.map_err(|source| unwritten(&doing, source))?;
    let request = request.map(|body| Bytes::from_owner(Zeroizing::new(body)));
    Ok(Call { request, doing, verb, object: object.to_owned() })
}

fn object(name: &str, answer: &Answer) -> Result<Object, KubernetesError> {
    let object = answer.read::<Object>()?;
    if object.metadata.name == name { Ok(object) } else { Err(answer.wrong("another Secret")) }
}

/// What is no refusal is an answer; a refusal that nobody expects here is none of an API server's.
fn done(told: Told, client: &Kubernetes, doing: &str) -> Result<Answer, KubernetesError> {
    match told {
        Told::Done(answer) => Ok(answer),
        Told::Absent | Told::Exists | Told::Conflict | Told::Expired => {
            let (doing, server) = (doing.to_owned(), client.server().to_owned());
            Err(KubernetesError::Answer { doing, server, got: "a refusal of something else" })
        }
    }
}
