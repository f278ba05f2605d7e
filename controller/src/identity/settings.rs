//! What an operator says of an identity.

use std::path::PathBuf;

use crate::remote::Way;

/// An identity, and how Entra ID is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentitySettings {
    /// Who.
    pub principal: Principal,
    /// Where tokens are given: `https://login.microsoftonline.com` or that of another cloud.
    /// Default: `AZURE_AUTHORITY_HOST`, else the public cloud. Managed identities do not use it.
    pub authority: Option<String>,
    /// How the authority is reached.
    pub way: Way,
}

/// Who asks for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A managed identity of the host that Keyturn runs on.
    Managed(ManagedIdentity),
    /// A registered application.
    Application {
        /// Its directory (tenant), a GUID or a domain. Default: `AZURE_TENANT_ID`.
        tenant: Option<String>,
        /// How it proves who it is.
        credential: Credential,
    },
}

/// Which managed identity, and where it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagedIdentity {
    /// The user-assigned identity; with `None` the system-assigned one.
    pub user_assigned: Option<UserAssigned>,
    /// The host's service: `http://169.254.169.254` unless it is said otherwise. Default:
    /// `AZURE_POD_IDENTITY_AUTHORITY_HOST` if that is set.
    pub endpoint: Option<String>,
}

/// What a user-assigned managed identity is called by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserAssigned {
    /// Its client id, a GUID.
    ClientId(String),
    /// Its object (principal) id, a GUID.
    ObjectId(String),
    /// Its ARM id.
    ResourceId(String),
}

/// How an application proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A folder with the files `clientid` and `clientsecret`, as Kubernetes mounts a Secret. They
    /// are read for each token, so that a new secret needs no restart.
    Folder(PathBuf),
    /// Workload identity federation: a token of another provider, in a file that its owner renews.
    Federated {
        /// The application's client id. Default: `AZURE_CLIENT_ID`.
        client: Option<String>,
        /// The file, read for each token. Default: `AZURE_FEDERATED_TOKEN_FILE`.
        token_file: Option<PathBuf>,
    },
}
