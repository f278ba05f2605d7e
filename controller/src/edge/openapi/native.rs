//! Keyturn's own routes, and the description itself. Adding one: an entry here, and what it names
//! in `native.json`.

use super::operation::{Operation, get, operation};
use crate::access::Right;

const FABRIC: &str = "/keyturn/v1/fabrics/subscriptions/{subscriptionId}/resourceGroups/\
                      {resourceGroupName}/providers/Microsoft.ManagedNetworkFabric/networkFabrics/\
                      {networkFabricName}";

/// Returns an entry for each route.
pub(super) fn operations() -> Vec<Operation> {
    let mut all = of_fabrics();
    all.extend(of_secrets_and_tokens());
    all
}

fn of_fabrics() -> Vec<Operation> {
    vec![
        get(super::PATH, "Description_Get", "Shows this description.").gives("Description").open(),
        get("/keyturn/v1/fabrics", "Fabrics_List", "Lists fabrics and their devices' names.")
            .gives("FabricList"),
        post("/keyturn/v1/fabrics:apply", "Fabrics_Apply", Right::Administer, "Declares a fabric.")
            .takes("Apply")
            .gives("Applied"),
        post(
            "/keyturn/v1/fabrics:rotateOlderNames",
            "Fabrics_RotateOlderNames",
            Right::Operate,
            "Rotates a fabric whose secrets have older names.",
        )
        .takes("OlderNames")
        .answers("202", "The operation goes on.", Some("Begun")),
        get(&format!("{FABRIC}/plan"), "Fabrics_Plan", "Plans a request and does nothing.")
            .query(&["request", "device"])
            .gives("Plan")
            .answers("409", "The request would be refused.", Some("Error")),
        get(&format!("{FABRIC}/summary"), "Fabrics_Summary", "Says how the last rotation went.")
            .gives("Summary"),
        get(&format!("{FABRIC}/bootstrap-devices"), "Fabrics_Waiting", "Lists devices outside it.")
            .gives("WaitingDevices"),
        get(&format!("{FABRIC}/retention"), "Fabrics_Retention", "Says what stays, and why.")
            .gives("Retention"),
        get(&format!("{FABRIC}/archive"), "Fabrics_Archive", "Says how far the copies are.")
            .gives("Archive"),
        post(
            "/keyturn/v1/archives:retry",
            "Archives_Retry",
            Right::Operate,
            "Tries at once to copy what is left.",
        )
        .takes("ArchiveWanted")
        .gives("Archive"),
        post(
            "/keyturn/v1/archives:verify",
            "Archives_Verify",
            Right::Operate,
            "Compares every copy with what the own vault has.",
        )
        .takes("ArchiveWanted")
        .gives("ArchiveCompared"),
        get("/keyturn/v1/deletedFabrics", "DeletedFabrics_List", "Lists what is left of them.")
            .gives("DeletedFabrics"),
        post(
            "/keyturn/v1/fabrics:purge",
            "Fabrics_Purge",
            Right::Administer,
            "Purges what may go.",
        )
        .takes("Purge")
        .gives("Purged"),
        post(
            "/keyturn/v1/fabrics:releaseDevice",
            "Fabrics_ReleaseDevice",
            Right::Administer,
            "Says that hardware which is gone has no password any more.",
        )
        .takes("Release")
        .gives("Released"),
        get(crate::edge::metrics::PATH, "Metrics_Get", "Shows numbers for Prometheus.")
            .wants(Right::ReadMetrics)
            .gives_text("Prometheus' text format, version 0.0.4: docs/metrics.md has the names."),
        get("/keyturn/v1/operations", "Progress_List", "Lists operations, the newest first.")
            .gives("ProgressList"),
        get("/keyturn/v1/operations/{operationId}", "Progress_Get", "Says how far each device is.")
            .gives("Progress"),
    ]
}

fn of_secrets_and_tokens() -> Vec<Operation> {
    vec![
        post("/keyturn/v1/secrets:reveal", "Secrets_Reveal", Right::Reveal, "Reveals a password.")
            .takes("Reveal")
            .gives("Revealed"),
        post("/keyturn/v1/vault:backup", "Vault_Backup", Right::Reveal, "Backs the vault up.")
            .takes("BackupWanted")
            .gives_bytes("The backup: an age file. It is whole if it opens to its end."),
        get("/keyturn/v1/audit", "Audit_Read", "Reads the audit from a place on.")
            .query(&["from"])
            .wants(Right::Administer)
            .gives("AuditPage"),
        get(
            "/keyturn/v1/references",
            "References_List",
            "Says how references to credentials fare.",
        )
        .gives("ReferenceList"),
        get("/keyturn/v1/tokens", "Tokens_List", "Lists tokens.")
            .wants(Right::Administer)
            .gives("TokenList"),
        post("/keyturn/v1/tokens", "Tokens_Create", Right::Administer, "Makes a token.")
            .takes("TokenWanted")
            .answers("201", "Made; its text is in no other answer.", Some("TokenMade")),
        operation(
            "delete",
            "/keyturn/v1/tokens/{tokenId}",
            "Tokens_Revoke",
            Right::Administer,
            "Revokes a token.",
        )
        .answers("204", "It is accepted nowhere any more.", None),
    ]
}

fn post(path: &str, id: &str, right: Right, summary: &'static str) -> Operation {
    operation("post", path, id, right, summary)
}
