//! Finding the cluster, and connections to it. Runs only what a kubeconfig says, without a terminal.
//!
//! The layers are those of `kube` but for four: its times, its tries, its log of every failure, and
//! proxies.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use axum::http::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{AuthError, Body, ConfigExt as _};
use kube::config::{ExecInteractiveMode, KubeConfigOptions, Kubeconfig, KubeconfigError};
use tower::{BoxError, Layer as _, ServiceExt as _, util::option_layer};

use super::{Access, KubernetesError, KubernetesSettings, ServiceAccount, is_namespace};
use crate::remote::Pace;

/// What Kubernetes gives to every container of a pod with a service account.
const POD_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A cluster that was found, and who Keyturn is to it.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) config: Config,
    /// `https://HOST` or `https://HOST:PORT`, without a slash at its end.
    pub(super) server: String,
    pub(super) namespace: String,
}

impl Place {
    pub(super) fn uri(&self) -> String {
        format!("{}/api/v1/namespaces/{}", self.server, self.namespace)
    }
}

fn lost(what: impl Into<String>) -> KubernetesError {
    KubernetesError::Access { what: what.into() }
}

/// Finds the cluster: reads files, asks nobody.
pub(super) async fn find(settings: &KubernetesSettings) -> Result<Place, KubernetesError> {
    let mut config = match &settings.access {
        Access::ServiceAccount(account) => of_account(account, settings.namespace.is_none())?,
        Access::Kubeconfig { file, context } => of_file(file, context.clone()).await?,
    };
    if let Some(namespace) = &settings.namespace {
        config.default_namespace.clone_from(namespace);
    }
    let (server, namespace) = (server(&config.cluster_url)?, config.default_namespace.clone());
    if !is_namespace(&namespace) {
        return Err(KubernetesError::Namespace { given: namespace });
    }
    if config.accept_invalid_certs {
        let what = "`insecure-skip-tls-verify` would show passwords to whoever stands between";
        return Err(lost(what));
    }
    if config.proxy_url.is_some() {
        return Err(lost("a `proxy-url` is not followed: passwords go straight to the API server"));
    }
    if let Some(exec) = &mut config.auth_info.exec {
        // A daemon has no terminal to ask on.
        if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
            return Err(lost("the user's `exec` command asks on a terminal, and there is none"));
        }
        exec.interactive_mode = Some(ExecInteractiveMode::Never);
    }
    Ok(Place { config, server, namespace })
}

fn server(url: &Uri) -> Result<String, KubernetesError> {
    let authority = url.authority().map(|authority| authority.as_str().to_owned());
    let nobody = |authority: &String| !authority.contains('@');
    match authority.filter(nobody) {
        Some(authority) if url.scheme_str() == Some("https") && url.query().is_none() => {
            Ok(format!("https://{authority}{}", url.path().trim_end_matches('/')))
        }
        _ => Err(lost("the API server's URL is not https://HOST or https://HOST:PORT")),
    }
}

fn of_account(account: &ServiceAccount, wants_name: bool) -> Result<Config, KubernetesError> {
    let in_pod = |file: &str| Path::new(POD_DIR).join(file);
    let url = match &account.server {
        Some(server) => server.clone(),
        None => of_environment(|name| env::var(name).ok())?,
    };
    let url = url.parse().map_err(|error| lost(format!("`{url}` is no URL: {error}")))?;
    let mut config = Config::new(url);
    let token_file = account.token_file.clone().unwrap_or_else(|| in_pod("token"));
    let ca_file = account.ca_file.clone().unwrap_or_else(|| in_pod("ca.crt"));
    for file in [&token_file, &ca_file] {
        fs::File::open(file).map_err(|error| unreadable(file, &error))?;
    }
    config.auth_info.token_file = Some(token_file.to_string_lossy().into_owned());
    config.root_cert_file = Some(ca_file);
    if wants_name {
        let file = in_pod("namespace");
        let name = fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
        name.trim().clone_into(&mut config.default_namespace);
    }
    Ok(config)
}

fn unreadable(file: &Path, error: &io::Error) -> KubernetesError {
    lost(format!("`{}` cannot be read: {error}", file.display()))
}

/// Returns where a pod finds the API server.
fn of_environment(get: impl Fn(&str) -> Option<String>) -> Result<String, KubernetesError> {
    let known = get("KUBERNETES_SERVICE_HOST").zip(get("KUBERNETES_SERVICE_PORT"));
    let Some((host, port)) = known else {
        return Err(lost("there is no `KUBERNETES_SERVICE_HOST`, so this is no pod"));
    };
    // An IPv6 address stands in brackets.
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Ok(format!("https://{host}:{port}"))
}

async fn of_file(file: &Path, context: Option<String>) -> Result<Config, KubernetesError> {
    let failed = |error: KubeconfigError| {
        // What cannot be parsed is shown by its library with the lines around it: tokens.
        let what = match error {
            KubeconfigError::Parse(_) => "it is no kubeconfig".to_owned(),
            other => other.to_string(),
        };
        lost(format!("`{}`: {what}", file.display()))
    };
    let kubeconfig = Kubeconfig::read_from(file).map_err(failed)?;
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(failed)
}

/// Makes a client: reads tokens, keys and authorities, and runs what a kubeconfig says for that.
pub(super) fn client(place: &Place, pace: &Pace) -> Result<kube::Client, KubernetesError> {
    let failed = |error: kube::Error| {
        let (server, what) = (place.server.clone(), told(error));
        KubernetesError::Identity { server, what }
    };
    let config = &place.config;
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(pace.connect_max));
    connector.set_nodelay(true);
    let connector = config.rustls_https_connector_with_connector(connector).map_err(failed)?;
    let http: Client<_, Body> = Client::builder(TokioExecutor::new()).build(connector);
    let service = config.extra_headers_layer().map_err(failed)?.layer(http.map_err(BoxError::from));
    let service = option_layer(config.auth_layer().map_err(failed)?).layer(service);
    let service = config.base_uri_layer().layer(service);
    Ok(kube::Client::new(service, place.namespace.clone()))
}

/// Tells what is wrong with an identity, without anything that a command wrote: that may be a token.
pub(super) fn told(error: kube::Error) -> String {
    match error {
        kube::Error::Auth(error) => told_of_token(&error),
        other => other.to_string(),
    }
}

fn told_of_token(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { cmd, out } => format!("`{cmd}` failed: {}", out.status),
        AuthError::ReadTokenFile(source, file) => {
            format!("`{}` cannot be read: {source}", PathBuf::from(file).display())
        }
        AuthError::AuthExecStart(source) => format!("its command cannot be run: {source}"),
        AuthError::InvalidBearerToken(_) => "the token has characters that none has".to_owned(),
        AuthError::MissingCommand => "its `exec` has no `command`".to_owned(),
        _ => "there is no token from where the kubeconfig says".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_finds_its_api_server_also_by_an_ipv6_address() {
        let of = |host: &'static str| {
            of_environment(move |name| match name {
                "KUBERNETES_SERVICE_HOST" => Some(host.to_owned()),
                _ => Some("443".to_owned()),
            })
        };
        assert_eq!(of("10.0.0.1").unwrap(), "https://10.0.0.1:443");
        assert_eq!(of("fd00::1").unwrap(), "https://[fd00::1]:443");
        let error = of_environment(|_name| None).unwrap_err();
        assert!(error.to_string().contains("this is no pod"), "{error}");
    }

    #[test]
    fn passwords_go_to_https_alone() {
        let of = |url: &str| server(&url.parse().unwrap()).ok();
        assert_eq!(of("https://10.0.0.1:6443/").as_deref(), Some("https://10.0.0.1:6443"));
        assert_eq!(of("https://a.b/k8s/c-1/").as_deref(), Some("https://a.b/k8s/c-1"));
        for wrong in ["http://10.0.0.1", "https://user@a.b", "https://a.b/?q=1", "/path"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
