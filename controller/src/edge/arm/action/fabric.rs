//! What can be done to a fabric besides its passwords: locks, commits and upgrades. Keyturn commits
//! and upgrades nothing; whoever does says so here, and no password is changed meanwhile.

use axum::extract::Request;
use axum::response::Response;
use protocol::id::FabricId;
use serde::Deserialize;

use super::{done, unsupported, version};
use crate::edge::answer::ApiError;
use crate::edge::body;
use crate::model::Lock;
use crate::service::{CommitAction, Service, UpgradeAction};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LockFabric {
    lock_type: String,
    action: String,
}

/// Locks or unlocks a fabric.
pub(super) async fn lock(
    service: &Service,
    id: FabricId,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: LockFabric = body::parse(&bytes)?;
    let locks = [("Administrative", Lock::Administrative), ("Configuration", Lock::Configuration)];
    let lock = one_of("lockType", &wanted.lock_type, locks)?;
    let locked = one_of("action", &wanted.action, [("Lock", true), ("Unlock", false)])?;
    service.set_lock(&id, lock, locked).await?;
    Ok(done(&id))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitConfiguration {
    #[serde(default)]
    commit_stage: Option<String>,
}

/// Notes a commit: without a body one that has begun and ended, else the stage that it is in.
pub(super) async fn commit(
    service: &Service,
    id: FabricId,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted =
        if bytes.is_empty() { CommitConfiguration::default() } else { body::parse(&bytes)? };
    let stages = [
        ("Start", CommitAction::Begin),
        ("Continue", CommitAction::Complete),
        ("Rollback", CommitAction::RollBack),
    ];
    let commit = match &wanted.commit_stage {
        Some(stage) => one_of("commitStage", stage, stages)?,
        None => CommitAction::AtOnce,
    };
    service.set_commit(&id, commit).await?;
    Ok(done(&id))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpgradeFabric {
    action: String,
    #[serde(default)]
    version: Option<String>,
}

/// Notes an upgrade: that it begins, has ended, or (a value of our own) has failed.
pub(super) async fn upgrade(
    service: &Service,
    id: FabricId,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: UpgradeFabric = body::parse(&bytes)?;
    let upgrade = match wanted.action.to_ascii_lowercase().as_str() {
        "start" => UpgradeAction::Start { version: version("fabric", wanted.version)? },
        "complete" => UpgradeAction::Complete,
        "fail" => UpgradeAction::Fail,
        _ => return Err(unsupported("action", &wanted.action, &["Start", "Complete", "Fail"])),
    };
    service.set_upgrade(&id, upgrade).await?;
    Ok(done(&id))
}

fn one_of<T, const N: usize>(
    property: &str,
    given: &str,
    known: [(&'static str, T); N],
) -> Result<T, ApiError> {
    let names = known.each_ref().map(|(name, _value)| *name);
    let found = known.into_iter().find(|(name, _value)| name.eq_ignore_ascii_case(given));
    found.map(|(_name, value)| value).ok_or_else(|| unsupported(property, given, &names))
}
