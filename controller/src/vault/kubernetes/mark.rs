//! What tells an older copy of the cluster's Secrets from them: etcd is brought back from snapshots.
//!
//! A Secret of its own, `keyturn-mark`. There is nothing secret in it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::backed::{Shared, TRIES_MAX};
use super::record::{KIND, MANAGED_BY, PREFIX};
use crate::kubernetes::{Changed, Data, KubernetesError, New, Secret, Texts};
use crate::vault::Mark;

const VAULT: &str = "vault";
const SERIAL: &str = "serial";
const NOTE: &str = "note";

fn object() -> String {
    format!("{PREFIX}mark")
}

/// Reads a mark; `None` if it is none.
fn mark(secret: &Secret) -> Option<Mark> {
    let text = |key: &str| str::from_utf8(secret.data.get(key)?.bytes()).ok().map(str::to_owned);
    Some(Mark { vault: text(VAULT)?, serial: text(SERIAL)?.parse().ok()?, note: text(NOTE)? })
}

fn first() -> New {
    let vault = hex::encode(rand::random::<[u8; 16]>());
    let (key, value) = MANAGED_BY;
    let data = [(VAULT, vault.as_str()), (SERIAL, "0"), (NOTE, "")];
    New {
        name: object(),
        kind: KIND,
        labels: Texts::from([(key.to_owned(), value.to_owned())]),
        annotations: Texts::new(),
        data: BTreeMap::from(data.map(|(key, text)| (key, Data::new(text.as_bytes())))),
    }
}

impl Shared {
    /// Returns the mark, which is made if there is none.
    pub(super) async fn mark(&self) -> Result<Mark, KubernetesError> {
        let (_state, mark) = self.marked().await?;
        Ok(mark)
    }

    /// Raises the mark; a higher one stays.
    pub(super) async fn raise_mark(&self, serial: u64, note: &str) -> Result<(), KubernetesError> {
        for _try in 0..TRIES_MAX {
            let (state, mark) = self.marked().await?;
            if mark.serial > serial {
                return Ok(());
            }
            let patch = json!({
                "metadata": { "resourceVersion": state },
                "data": {
                    SERIAL: STANDARD.encode(serial.to_string()),
                    NOTE: STANDARD.encode(note),
                },
            });
            if self.client.change(&object(), &patch).await? == Changed::Made {
                return Ok(());
            }
        }
        Err(self.contended(format!("change the Secret `{}`", object())))
    }

    /// Returns the mark and the state that it is in.
    async fn marked(&self) -> Result<(String, Mark), KubernetesError> {
        for _try in 0..TRIES_MAX {
            if let Some(secret) = self.client.read(&object()).await? {
                let state = secret.properties.resource_version.clone();
                let server = || self.client.server().to_owned();
                let damaged = || KubernetesError::Damaged { object: object(), server: server() };
                return Ok((state, mark(&secret).ok_or_else(damaged)?));
            }
            self.client.create(&first()).await?;
        }
        Err(self.contended(format!("make the Secret `{}`", object())))
    }
}
