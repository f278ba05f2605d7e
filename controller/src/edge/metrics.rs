//! Numbers for Prometheus: how fabrics are, and how far copies to customers' vaults are.
//!
//! They are read from what is known when somebody asks, and kept nowhere: they cannot be other than
//! what the rest of the API says. There is one series for each fabric and, where it has one, its
//! archive; nothing a caller sends becomes a label, and no password ever does.

mod page;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use axum::routing::get;
use protocol::id::FabricId;
use protocol::status::SynchronizationStatus;

use self::page::{Kind, Page};
use super::answer::{self, ApiError, raw};
use super::auth::{Caller, Door};
use super::table::Table;
use crate::access::{Right, Scope};
use crate::model::{Fabric, Timestamp};
use crate::service::{ArchiveStatus, Service, ServiceError};

/// Where the numbers are.
pub(super) const PATH: &str = "/metrics";

/// The text format of Prometheus.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Returns the route.
pub(super) fn routes(door: Door) -> Router {
    table().router().method_not_allowed_fallback(answer::other_method).with_state(door)
}

/// Returns the path.
pub(super) fn paths() -> Vec<String> {
    table().paths()
}

fn table() -> Table<Door> {
    Table::new().route(PATH, get(show))
}

/// Answers the numbers of the fabrics that the caller may see.
async fn show(State(door): State<Door>, caller: Caller) -> Result<Response, ApiError> {
    let service = door.measure(&caller, "Keyturn/metrics/read")?;
    let may = |id: &FabricId| caller.may(Right::ReadMetrics, Scope::Fabric(id));
    let ids = service.fabrics().into_iter().filter(may);
    // A fabric that was deleted meanwhile has no numbers.
    let fabrics: Vec<Measured> = ids.filter_map(|id| Measured::of(service, &id).ok()).collect();
    let mut response = raw(StatusCode::OK, Body::from(written(&fabrics, service.now())));
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    Ok(response)
}

/// What is told of a fabric.
struct Measured {
    id: String,
    /// Devices by how far their passwords are.
    devices: [(&'static str, usize); 3],
    password_sets: usize,
    operations: usize,
    archive: ArchiveStatus,
}

impl Measured {
    fn of(service: &Service, id: &FabricId) -> Result<Self, ServiceError> {
        let archive = service.archive_status(id)?;
        service.read(id, |fabric| Self {
            id: fabric.id.to_string(),
            devices: devices(fabric),
            password_sets: fabric.active_set_count(),
            operations: usize::from(fabric.running_operation().is_some()),
            archive,
        })
    }

    /// The vault that secrets are copied to, if there is one.
    fn vault(&self) -> Option<&str> {
        self.archive.archive.as_ref()?.target()
    }
}

/// The states in the API's spelling.
const STATES: [(&str, SynchronizationStatus); 3] = [
    ("InSync", SynchronizationStatus::InSync),
    ("Synchronizing", SynchronizationStatus::Synchronizing),
    ("OutOfSync", SynchronizationStatus::OutOfSync),
];

fn devices(fabric: &Fabric) -> [(&'static str, usize); 3] {
    let members = fabric.members();
    let all: Vec<_> = members.map(|(_name, device)| device.synchronization_status()).collect();
    STATES.map(|(name, state)| (name, all.iter().filter(|status| **status == state).count()))
}

fn written(fabrics: &[Measured], now: Timestamp) -> String {
    let mut page = Page::default();
    page.family("keyturn_info", Kind::Gauge, "The version that runs; always 1.");
    page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family("keyturn_devices", Kind::Gauge, "Devices by how far their passwords are.");
    for fabric in fabrics {
        for (status, count) in fabric.devices {
            page.sample(&[("fabric", &fabric.id), ("status", status)], count);
        }
    }
    let help = "Password sets that devices use or may use.";
    page.family("keyturn_password_sets_active", Kind::Gauge, help);
    for fabric in fabrics {
        page.sample(&[("fabric", &fabric.id)], fabric.password_sets);
    }
    page.family("keyturn_operations_running", Kind::Gauge, "Operations that run: 0 or 1.");
    for fabric in fabrics {
        page.sample(&[("fabric", &fabric.id)], fabric.operations);
    }
    archives(&mut page, fabrics, now);
    page.text()
}

type Value = fn(&ArchiveStatus, Timestamp) -> Option<String>;

/// The families of archives: name, kind, help, and the value, where there is one.
const ARCHIVES: [(&str, Kind, &str, Value); 6] = [
    (
        "keyturn_archive_copies",
        Kind::Gauge,
        "Versions that the customer's vault has confirmed.",
        |archive, _now| Some(archive.copied.to_string()),
    ),
    (
        "keyturn_archive_copies_pending",
        Kind::Gauge,
        "Versions that are still to be copied.",
        |archive, _now| Some(archive.pending.to_string()),
    ),
    (
        "keyturn_archive_lag_seconds",
        Kind::Gauge,
        "For how long the oldest of them has been stored; 0 if there is none.",
        |archive, now| {
            let since = archive.pending_since.unwrap_or(now);
            Some(seconds(now.0.saturating_sub(since.0).max(0)))
        },
    ),
    (
        "keyturn_archive_copied_total",
        Kind::Counter,
        "Versions that were copied since the start.",
        |archive, _now| Some(archive.counts.copied.to_string()),
    ),
    (
        "keyturn_archive_failures_total",
        Kind::Counter,
        "Attempts to copy that have failed since the start.",
        |archive, _now| Some(archive.counts.failed.to_string()),
    ),
    (
        "keyturn_archive_last_error_timestamp_seconds",
        Kind::Gauge,
        "When an attempt failed last; absent if none has since the start.",
        |archive, _now| archive.counts.failed_at.map(|at| seconds(at.0)),
    ),
];

fn archives(page: &mut Page, fabrics: &[Measured], now: Timestamp) {
    for (name, kind, help, value) in ARCHIVES {
        page.family(name, kind, help);
        for fabric in fabrics {
            let Some(vault) = fabric.vault() else { continue };
            if let Some(value) = value(&fabric.archive, now) {
                page.sample(&[("fabric", &fabric.id), ("vault", vault)], value);
            }
        }
    }
}

/// Milliseconds as seconds with three decimals.
fn seconds(milliseconds: i64) -> String {
    format!("{}.{:03}", milliseconds / 1_000, milliseconds % 1_000)
}
