//! Finding the cluster: what a pod is given, what a configuration says, and kubeconfig files, whose
//! contexts `kube` resolves. Nothing is run, and nobody is asked.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kube::config::{AuthInfo, Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use zeroize::Zeroizing;

use super::{Access, KubernetesError, KubernetesSettings, ServiceAccount, is_namespace, yaml};

/// What Kubernetes gives to every container of a pod with a service account.
const POD_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A cluster that was found, and who Keyturn is to it.
#[derive(Clone)]
pub(super) struct Place {
    /// `https://HOST` or `https://HOST:PORT`, without a slash at its end.
    pub(super) server: String,
    pub(super) namespace: String,
    pub(super) roots: Roots,
    /// A token, a token's file, or a certificate and its key.
    pub(super) user: AuthInfo,
}

/// Who may vouch for the API server.
#[derive(Clone)]
pub(super) enum Roots {
    /// The authorities in a file (PEM).
    File(PathBuf),
    /// The authorities of a kubeconfig (DER).
    Inline(Vec<Vec<u8>>),
    /// The system's.
    System,
}

impl Place {
    pub(super) fn uri(&self) -> String {
        format!("{}/api/v1/namespaces/{}", self.server, self.namespace)
    }
}

fn lost(what: impl Into<String>) -> KubernetesError {
    KubernetesError::Access { what: what.into() }
}

/// Finds the cluster.
pub(super) async fn find(settings: &KubernetesSettings) -> Result<Place, KubernetesError> {
    let given = settings.namespace.clone();
    let place = match &settings.access {
        Access::ServiceAccount(account) => of_account(account, given)?,
        Access::Kubeconfig { file, context } => of_file(file, context.clone(), given).await?,
    };
    if is_namespace(&place.namespace) {
        Ok(place)
    } else {
        Err(KubernetesError::Namespace { given: place.namespace })
    }
}

/// Returns a URL without a slash at its end, if passwords may be sent there.
fn server(url: &str) -> Result<String, KubernetesError> {
    let wrong = || lost(format!("`{url}` is not https://HOST or https://HOST:PORT"));
    let parsed = reqwest::Url::parse(url).map_err(|_source| wrong())?;
    let nobody = parsed.username().is_empty() && parsed.password().is_none();
    let plain = parsed.query().is_none() && parsed.fragment().is_none() && parsed.has_host();
    if parsed.scheme() == "https" && nobody && plain {
        Ok(parsed.as_str().trim_end_matches('/').to_owned())
    } else {
        // A URL with a password in it is not shown.
        Err(if nobody { wrong() } else { lost("the API server's URL has a user in it") })
    }
}

fn of_account(
    account: &ServiceAccount,
    namespace: Option<String>,
) -> Result<Place, KubernetesError> {
    let in_pod = |file: &str| Path::new(POD_DIR).join(file);
    let url = match &account.server {
        Some(server) => server.clone(),
        None => of_environment(|name| env::var(name).ok())?,
    };
    let token_file = account.token_file.clone().unwrap_or_else(|| in_pod("token"));
    let ca_file = account.ca_file.clone().unwrap_or_else(|| in_pod("ca.crt"));
    for file in [&token_file, &ca_file] {
        fs::File::open(file).map_err(|error| unreadable(file, &error))?;
    }
    let namespace = match namespace {
        Some(namespace) => namespace,
        None => {
            let file = in_pod("namespace");
            let name = fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
            name.trim().to_owned()
        }
    };
    let token_file = Some(token_file.to_string_lossy().into_owned());
    let user = AuthInfo { token_file, ..AuthInfo::default() };
    Ok(Place { server: server(&url)?, namespace, roots: Roots::File(ca_file), user })
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

async fn of_file(
    file: &Path,
    context: Option<String>,
    namespace: Option<String>,
) -> Result<Place, KubernetesError> {
    let failed = |what: String| lost(format!("`{}`: {what}", file.display()));
    let kubeconfig = kubeconfig(file).map_err(failed)?;
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let config = config.map_err(|error| failed(unresolved(&error)))?;
    if let Some(what) = unfollowed(&config) {
        return Err(failed(what.to_owned()));
    }
    let roots = config.root_cert.map_or(Roots::System, Roots::Inline);
    let (server, user) = (server(&config.cluster_url.to_string())?, config.auth_info);
    Ok(Place { server, namespace: namespace.unwrap_or(config.default_namespace), roots, user })
}

/// Says why a context leads to no cluster. The library's own words for all that can be wrong, YAML
/// among it, would be a sixth of a megabyte of the program.
fn unresolved(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::CurrentContextNotSet => "it has no current context".to_owned(),
        KubeconfigError::LoadContext(name) => format!("it has no context `{name}`"),
        KubeconfigError::LoadClusterOfContext(name) => format!("it has no cluster `{name}`"),
        KubeconfigError::MissingClusterUrl => "the cluster has no `server`".to_owned(),
        KubeconfigError::ParseClusterUrl(_) => "the cluster's `server` is no URL".to_owned(),
        KubeconfigError::ParseProxyUrl(_) => "the cluster's `proxy-url` is no URL".to_owned(),
        KubeconfigError::LoadCertificateAuthority(source) => {
            format!("the cluster's authorities: {source}")
        }
        KubeconfigError::ParseCertificates(_) => "the cluster's authorities are no PEM".to_owned(),
        _ => "it leads to no cluster".to_owned(),
    }
}

/// Reads a kubeconfig file. Paths in it are relative to its folder.
fn kubeconfig(file: &Path) -> Result<Kubeconfig, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("it cannot be read: {error}"))?;
    let value = yaml::read(&Zeroizing::new(text))?;
    let read = serde_json::from_value::<Kubeconfig>(value);
    // Without the source, which names what it has found.
    let mut kubeconfig = read.map_err(|_source| "it is no kubeconfig".to_owned())?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let clusters = kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut());
    let users = kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut());
    let of_users =
        users.flat_map(|u| [&mut u.client_certificate, &mut u.client_key, &mut u.token_file]);
    let paths = clusters.map(|cluster| &mut cluster.certificate_authority).chain(of_users);
    for path in paths.flatten() {
        *path = folder.join(&*path).to_string_lossy().into_owned();
    }
    Ok(kubeconfig)
}

/// Says what of a kubeconfig is not followed, and why.
fn unfollowed(config: &Config) -> Option<&'static str> {
    let user = &config.auth_info;
    let found = [
        (
            config.accept_invalid_certs,
            "`insecure-skip-tls-verify` would show passwords to whoever stands between",
        ),
        (config.proxy_url.is_some(), "a `proxy-url` is not followed: passwords go straight"),
        (config.tls_server_name.is_some(), "give the `tls-server-name` as the host of `server`"),
        (user.exec.is_some(), "the user's `exec` command is not run"),
        (user.auth_provider.is_some(), "the user's `auth-provider` is not asked"),
        (user.impersonate.is_some(), "the user cannot act `as` another"),
        (user.username.is_some(), "a user with a password is none of Kubernetes' any more"),
    ];
    found.into_iter().find_map(|(is_there, what)| is_there.then_some(what))
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
        let of = |url: &str| server(url).ok();
        assert_eq!(of("https://10.0.0.1:6443/").as_deref(), Some("https://10.0.0.1:6443"));
        assert_eq!(of("https://a.b/k8s/c-1/").as_deref(), Some("https://a.b/k8s/c-1"));
        for wrong in ["http://10.0.0.1", "https://user@a.b", "https://a.b/?q=1", "/path"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        let error = server("https://user:Canary@a.b").unwrap_err();
        assert!(!error.to_string().contains("Canary"), "{error}");
    }
}
