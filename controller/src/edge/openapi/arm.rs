//! The routes of the Azure Resource Manager surface. Adding one: an entry here, and what it names
//! in `arm.json`.

use super::operation::{Operation, get, operation};
use crate::access::Right;
use crate::edge::arm::ENDPOINTS_PATH;

const SUBSCRIPTION: &str = "/subscriptions/{subscriptionId}";
const PROVIDER: &str = "providers/Microsoft.ManagedNetworkFabric";

/// The query of most operations, and that of lists.
const VERSIONED: &[&str] = &["api-version"];
const PAGED: &[&str] = &["api-version", "$skipToken"];

/// Returns an entry for each route.
pub(super) fn operations() -> Vec<Operation> {
    [directory(), fabrics(), devices()].into_iter().flatten().collect()
}

fn directory() -> Vec<Operation> {
    let operations = format!("/{PROVIDER}/operations");
    let status = format!(
        "{SUBSCRIPTION}/{PROVIDER}/locations/{{location}}/operationStatuses/{{operationId}}"
    );
    vec![
        get(ENDPOINTS_PATH, "Endpoints_List", "Tells where what is.").gives("Endpoints").open(),
        get("/subscriptions", "Subscriptions_List", "Lists subscriptions.")
            .gives("SubscriptionList"),
        get(SUBSCRIPTION, "Subscriptions_Get", "Shows a subscription.").gives("Subscription"),
        get("/tenants", "Tenants_List", "Lists the one tenant.").gives("TenantList"),
        get(&operations, "Operations_List", "Lists the provider's actions.")
            .gives("ProviderOperationList"),
        get(&status, "OperationStatuses_Get", "Says how far an operation is.")
            .query(VERSIONED)
            .answers("200", "It has ended.", Some("OperationStatusResult"))
            .goes_on(),
    ]
}

fn fabrics() -> Vec<Operation> {
    let list = "networkFabrics";
    let one = &in_group("networkFabrics/{networkFabricName}");
    let action = |name, id, summary| {
        operation("post", &format!("{one}/{name}"), id, Right::Operate, summary).query(VERSIONED)
    };
    vec![
        get(&in_subscription(list), "NetworkFabrics_ListBySubscription", "Lists fabrics.")
            .query(PAGED)
            .gives("NetworkFabricList"),
        get(&in_group(list), "NetworkFabrics_ListByResourceGroup", "Lists fabrics.")
            .query(PAGED)
            .gives("NetworkFabricList"),
        get(one, "NetworkFabrics_Get", "Shows a fabric.").query(VERSIONED).gives("NetworkFabric"),
        put(one, "NetworkFabrics_Create", "Notes tags and a description; takes away the rest.")
            .takes("NetworkFabricPatch")
            .gives("NetworkFabric"),
        patch(one, "NetworkFabrics_Update", "Notes tags and a description.")
            .takes("NetworkFabricPatch")
            .gives("NetworkFabric"),
        delete(one, "NetworkFabrics_Delete", "Deletes a fabric that has no devices.").answers(
            "204",
            "It is not there (any more).",
            None,
        ),
        action(
            "rotatePasswords",
            "NetworkFabrics_RotatePasswords",
            "Brings a new password set to every device.",
        )
        .starts(),
        action(
            "resyncPasswords",
            "NetworkFabrics_ResyncPasswords",
            "Brings the newest password set to devices that miss it.",
        )
        .starts(),
        action("lockFabric", "NetworkFabrics_LockFabric", "Locks or unlocks a fabric.")
            .takes("LockFabric")
            .gives("Done"),
        action("commitConfiguration", "NetworkFabrics_CommitConfiguration", "Notes a commit.")
            .may_take("CommitConfiguration")
            .gives("Done"),
        action("upgrade", "NetworkFabrics_Upgrade", "Notes an upgrade.")
            .takes("UpgradeFabric")
            .gives("Done"),
    ]
}

fn devices() -> Vec<Operation> {
    let list = "networkDevices";
    let one = &in_group("networkDevices/{networkDeviceName}");
    let action = |name, id, summary| {
        operation("post", &format!("{one}/{name}"), id, Right::Operate, summary).query(VERSIONED)
    };
    vec![
        get(&in_subscription(list), "NetworkDevices_ListBySubscription", "Lists devices.")
            .query(PAGED)
            .gives("NetworkDeviceList"),
        get(&in_group(list), "NetworkDevices_ListByResourceGroup", "Lists devices.")
            .query(PAGED)
            .gives("NetworkDeviceList"),
        get(one, "NetworkDevices_Get", "Shows a device.").query(VERSIONED).gives("NetworkDevice"),
        put(one, "NetworkDevices_Create", "Notes what is given; takes away the rest.")
            .takes("NetworkDevicePatch")
            .gives("NetworkDevice"),
        patch(one, "NetworkDevices_Update", "Notes tags, a description, a serial number.")
            .takes("NetworkDevicePatch")
            .gives("NetworkDevice"),
        delete(one, "NetworkDevices_Delete", "Deletes a device that is out of service.").answers(
            "204",
            "It is not there (any more).",
            None,
        ),
        action(
            "resyncPasswords",
            "NetworkDevices_ResyncPasswords",
            "Brings the newest password set to a device that misses it.",
        )
        .starts(),
        action(
            "updateAdministrativeState",
            "NetworkDevices_UpdateAdministrativeState",
            "Takes a device out of service, into replacement, or back.",
        )
        .takes("UpdateAdministrativeState")
        .gives("Done")
        .starts(),
    ]
}

fn in_subscription(rest: &str) -> String {
    format!("{SUBSCRIPTION}/{PROVIDER}/{rest}")
}

fn in_group(rest: &str) -> String {
    format!("{SUBSCRIPTION}/resourceGroups/{{resourceGroupName}}/{PROVIDER}/{rest}")
}

fn put(path: &str, id: &'static str, summary: &'static str) -> Operation {
    operation("put", path, id, Right::Operate, summary).query(VERSIONED)
}

fn patch(path: &str, id: &'static str, summary: &'static str) -> Operation {
    operation("patch", path, id, Right::Operate, summary).query(VERSIONED)
}

fn delete(path: &str, id: &'static str, summary: &'static str) -> Operation {
    operation("delete", path, id, Right::Administer, summary).query(VERSIONED)
}
