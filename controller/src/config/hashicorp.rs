//! A table of a configuration file that names a HashiCorp Vault or an OpenBao, and says who Keyturn is
//! to it.

use std::path::{Path, PathBuf};

use super::file::path;
use super::oidc::{optional_text, url};
use crate::document::{DocumentError, Spot, Table, Value};
use crate::kv2::{Kv2Settings, Login, is_path};
use crate::remote::Way;

const KEYS: [&str; 13] = [
    "uri",
    "mount",
    "prefix",
    "namespace",
    "login",
    "auth-mount",
    "role-id-file",
    "secret-id-file",
    "role",
    "token-file",
    "ca-file",
    "address",
    "id",
];

/// Where Kubernetes puts the token of a pod's service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// How Keyturn gets a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Token,
    AppRole,
    Kubernetes,
}

const METHODS: [(&str, Method); 3] =
    [("token", Method::Token), ("approle", Method::AppRole), ("kubernetes", Method::Kubernetes)];

/// A HashiCorp Vault or an OpenBao that is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashicorpConfig {
    /// What its client needs.
    pub settings: Kv2Settings,
    /// What archive references call it, in the form of an ARM id. Default: an id that no vault of
    /// Azure's has.
    pub id: Option<String>,
}

/// What a method of login is made of, before it is known which it is.
struct Given {
    spot: Spot,
    auth_mount: Option<String>,
    role_id: Option<PathBuf>,
    secret_id: Option<PathBuf>,
    role: Option<String>,
    token: Option<PathBuf>,
}

/// Reads the table.
///
/// # Errors
/// Returns [`DocumentError`] with the place of what is wrong.
pub(super) fn parse(value: Value) -> Result<HashicorpConfig, DocumentError> {
    let mut table = value.table("the settings of a HashiCorp Vault", &KEYS)?;
    let table = &mut table;
    let expected = "where the vault is, as in \"https://vault.example:8200\"";
    let is_root = |text: &String| reqwest::Url::parse(text).is_ok_and(|url| url.path() == "/");
    let uri = table.required("uri", expected)?;
    let uri = uri.read(expected, |text| url(text, &["https"]).filter(is_root))?;
    let expected = "where the engine is mounted, as in \"secret\"";
    let mount = names(table.required("mount", expected)?, expected)?;
    let prefix = optional_names(table, "prefix", "the path of a folder in the mount")?;
    let namespace = optional_names(table, "namespace", "the path of a namespace")?;
    let expected = "`approle`, `kubernetes` or `token`";
    let method = table.required("login", expected)?.choice(expected, &METHODS)?;
    let given = Given {
        spot: table.spot().clone(),
        auth_mount: optional_names(table, "auth-mount", "where the method of login is mounted")?,
        role_id: path(table, "role-id-file", "the path of a file")?,
        secret_id: path(table, "secret-id-file", "the path of a file")?,
        role: optional_text(table, "role", "the name of a role")?,
        token: path(table, "token-file", "the path of a file")?,
    };
    let login = given.login(method)?;
    let ca_file = path(table, "ca-file", "the path of a file")?;
    let host = table.optional("address");
    let host = host.map(|value| value.parsed("an IP address")).transpose()?;
    let id = optional_text(table, "id", "an id in the form of an ARM id")?;
    let way = Way { ca_file, address: host };
    let settings = Kv2Settings { uri, mount, prefix, namespace, login, way };
    Ok(HashicorpConfig { settings, id })
}

/// Makes paths relative to the configuration's folder.
pub(super) fn place(mut config: HashicorpConfig, base: &Path) -> HashicorpConfig {
    let way = &mut config.settings.way;
    way.ca_file = way.ca_file.take().map(|path| base.join(path));
    match &mut config.settings.login {
        Login::Token { file } => *file = base.join(&*file),
        Login::AppRole { role_id, secret_id, .. } => {
            *role_id = base.join(&*role_id);
            *secret_id = base.join(&*secret_id);
        }
        Login::Kubernetes { token_file, .. } => *token_file = base.join(&*token_file),
    }
    config
}

/// Returns the keys and texts that read as this again.
pub(super) fn pairs(config: &HashicorpConfig) -> Vec<(&'static str, String)> {
    let HashicorpConfig { settings, id } = config;
    let shown = |path: &Path| path.display().to_string();
    let mut pairs = vec![("uri", settings.uri.clone()), ("mount", settings.mount.clone())];
    match &settings.login {
        Login::Token { file } => {
            pairs.extend([("login", "token".to_owned()), ("token-file", shown(file))]);
        }
        Login::AppRole { mount, role_id, secret_id } => pairs.extend([
            ("login", "approle".to_owned()),
            ("auth-mount", mount.clone()),
            ("role-id-file", shown(role_id)),
            ("secret-id-file", shown(secret_id)),
        ]),
        Login::Kubernetes { mount, role, token_file } => pairs.extend([
            ("login", "kubernetes".to_owned()),
            ("auth-mount", mount.clone()),
            ("role", role.clone()),
            ("token-file", shown(token_file)),
        ]),
    }
    let optional = [
        ("prefix", settings.prefix.clone()),
        ("namespace", settings.namespace.clone()),
        ("ca-file", settings.way.ca_file.as_deref().map(shown)),
        ("address", settings.way.address.map(|address| address.to_string())),
        ("id", id.clone()),
    ];
    pairs.extend(optional.into_iter().filter_map(|(key, value)| Some((key, value?))));
    pairs
}

impl Given {
    fn login(self, method: Method) -> Result<Login, DocumentError> {
        let Self { spot, auth_mount, role_id, secret_id, role, token } = self;
        let mount = |usual: &str| auth_mount.clone().unwrap_or_else(|| usual.to_owned());
        let needs = |expected: &str| spot.wrong(expected, "none");
        match method {
            Method::Token => {
                let others = [auth_mount.is_some(), role_id.is_some(), secret_id.is_some()];
                alone(&spot, others.contains(&true) || role.is_some(), "`token-file`")?;
                let file = token.ok_or_else(|| needs("`token-file` beside `login = \"token\"`"))?;
                Ok(Login::Token { file })
            }
            Method::AppRole => {
                let mount = mount("approle");
                alone(&spot, role.is_some() || token.is_some(), "the two files of an AppRole")?;
                let both = role_id.zip(secret_id).ok_or_else(|| {
                    needs("`role-id-file` and `secret-id-file` beside `login = \"approle\"`")
                });
                both.map(|(role_id, secret_id)| Login::AppRole { mount, role_id, secret_id })
            }
            Method::Kubernetes => {
                let mount = mount("kubernetes");
                let is_mixed = role_id.is_some() || secret_id.is_some();
                alone(&spot, is_mixed, "`role` and `token-file`")?;
                let role = role.ok_or_else(|| needs("`role` beside `login = \"kubernetes\"`"))?;
                let token_file = token.unwrap_or_else(|| PathBuf::from(SERVICE_ACCOUNT));
                Ok(Login::Kubernetes { mount, role, token_file })
            }
        }
    }
}

/// Refuses keys that belong to another method: they would be thought to do something.
fn alone(spot: &Spot, is_mixed: bool, expected: &str) -> Result<(), DocumentError> {
    let expected = format!("nothing but {expected} for this `login`");
    if is_mixed { Err(spot.wrong(expected, "keys of another method")) } else { Ok(()) }
}

fn optional_names(
    table: &mut Table,
    key: &str,
    expected: &str,
) -> Result<Option<String>, DocumentError> {
    table.optional(key).map(|value| names(value, expected)).transpose()
}

/// Reads names that are joined by `/`, without one at the ends.
fn names(value: Value, expected: &str) -> Result<String, DocumentError> {
    value.read(expected, |text| is_path(text).then(|| text.trim_matches('/').to_owned()))
}
