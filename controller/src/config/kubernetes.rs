//! `kubernetes` under `[vault]` of a configuration file: a namespace whose Secrets are the vault.

use std::path::Path;

use super::file::path;
use super::oidc::{optional_text, url};
use crate::document::{DocumentError, Value};
use crate::kubernetes::{Access, KubernetesSettings, ServiceAccount, is_namespace};

const KEYS: [&str; 6] = ["namespace", "kubeconfig", "context", "server", "token-file", "ca-file"];

/// Reads the table. Without a key in it, Keyturn is in a pod and is its service account.
pub(super) fn parse(value: Value) -> Result<KubernetesSettings, DocumentError> {
    let mut table = value.table("a Kubernetes vault", &KEYS)?;
    let table = &mut table;
    let spot = table.spot().clone();
    let expected = "a namespace: 1 to 63 lower-case letters, digits and `-`";
    let name = |text: &str| is_namespace(text).then(|| text.to_owned());
    let namespace = table.optional("namespace").map(|value| value.read(expected, name));
    let kubeconfig = path(table, "kubeconfig", "the path of a kubeconfig file")?;
    let context = optional_text(table, "context", "the name of a context in the kubeconfig")?;
    let server = table.optional("server");
    let server = server
        .map(|value| value.read("https://HOST or https://HOST:PORT", |text| url(text, &["https"])));
    let account = ServiceAccount {
        server: server.transpose()?,
        token_file: path(table, "token-file", "the path of a file")?,
        ca_file: path(table, "ca-file", "the path of a file")?,
    };
    let access = match (kubeconfig, context) {
        (Some(file), context) if account == ServiceAccount::default() => {
            Access::Kubeconfig { file, context }
        }
        (Some(_file), _) => {
            let expected = "`kubeconfig`, or `server`, `token-file` and `ca-file`";
            return Err(spot.wrong(expected, "both"));
        }
        (None, Some(_context)) => {
            return Err(spot.wrong("`kubeconfig` beside `context`", "none"));
        }
        (None, None) => Access::ServiceAccount(account),
    };
    Ok(KubernetesSettings { namespace: namespace.transpose()?, access })
}

/// Makes paths relative to the configuration's folder.
pub(super) fn place(mut settings: KubernetesSettings, base: &Path) -> KubernetesSettings {
    match &mut settings.access {
        Access::Kubeconfig { file, .. } => *file = base.join(&*file),
        Access::ServiceAccount(account) => {
            for file in [&mut account.token_file, &mut account.ca_file] {
                *file = file.take().map(|path| base.join(path));
            }
        }
    }
    settings
}
