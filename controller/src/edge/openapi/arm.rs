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
    [directory(), fabrics(), devices(&NETWORK), devices(&BOOTSTRAP)].into_iter().flatten().collect()
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
        put(one, "NetworkFabrics_Create", "Declares a fabric, or notes what is given.")
            .takes("NetworkFabricPut")
            .gives("NetworkFabric")
            .answers("201", "Declared.", Some("NetworkFabric")),
        patch(one, "NetworkFabrics_Update", "Notes tags, a description, the secret archive.")
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

/// The devices of a fabric, or those that wait for their first password set.
struct Devices {
    /// The kind's name in paths.
    list: &'static str,
    /// What the name of one is called in a path.
    variable: &'static str,
    /// What its operations' names begin with.
    tag: &'static str,
    /// The schema of one, and of a list.
    schemas: [&'static str; 2],
}

const NETWORK: Devices = Devices {
    list: "networkDevices",
    variable: "networkDeviceName",
    tag: "NetworkDevices",
    schemas: ["NetworkDevice", "NetworkDeviceList"],
};

const BOOTSTRAP: Devices = Devices {
    list: "networkBootstrapDevices",
    variable: "networkBootstrapDeviceName",
    tag: "NetworkBootstrapDevices",
    schemas: ["NetworkBootstrapDevice", "NetworkBootstrapDeviceList"],
};

fn devices(kind: &Devices) -> Vec<Operation> {
    let Devices { list, variable, tag, schemas: [schema, page] } = *kind;
    let one = &in_group(&format!("{list}/{{{variable}}}"));
    let id = |name: &str| format!("{tag}_{name}");
    let action = |name, called: &str, summary| {
        operation("post", &format!("{one}/{name}"), &id(called), Right::Operate, summary)
            .query(VERSIONED)
    };
    vec![
        get(&in_subscription(list), &id("ListBySubscription"), "Lists devices.")
            .query(PAGED)
            .gives(page),
        get(&in_group(list), &id("ListByResourceGroup"), "Lists devices.").query(PAGED).gives(page),
        get(one, &id("Get"), "Shows a device.").query(VERSIONED).gives(schema),
        put(one, &id("Create"), "Declares a device, or notes what is given and nothing else.")
            .takes("NetworkDevicePut")
            .gives(schema)
            .answers("201", "Declared; it may be verified now.", Some(schema)),
        patch(one, &id("Update"), "Notes tags, a description, a serial number.")
            .takes("NetworkDevicePatch")
            .gives(schema),
        delete(one, &id("Delete"), "Deletes a device that is out of service.").answers(
            "204",
            "It is not there (any more).",
            None,
        ),
        action(
            "resyncPasswords",
            "ResyncPasswords",
            "Brings the newest password set to a device that misses it.",
        )
        .starts(),
        action(
            "updateAdministrativeState",
            "UpdateAdministrativeState",
            "Takes a device out of service, into replacement, or back.",
        )
        .takes("UpdateAdministrativeState")
        .gives("Done")
        .starts(),
        action("upgrade", "Upgrade", "Notes the version that others have brought to a device.")
            .takes("UpgradeDevice")
            .gives("Done"),
        action("reboot", "Reboot", "Reboots a device; with ZTP it is wiped.")
            .takes("RebootDevice")
            .starts(),
    ]
}

fn in_subscription(rest: &str) -> String {
    format!("{SUBSCRIPTION}/{PROVIDER}/{rest}")
}

fn in_group(rest: &str) -> String {
    format!("{SUBSCRIPTION}/resourceGroups/{{resourceGroupName}}/{PROVIDER}/{rest}")
}

fn put(path: &str, id: &str, summary: &'static str) -> Operation {
    operation("put", path, id, Right::Operate, summary).query(VERSIONED)
}

fn patch(path: &str, id: &str, summary: &'static str) -> Operation {
    operation("patch", path, id, Right::Operate, summary).query(VERSIONED)
}

fn delete(path: &str, id: &str, summary: &'static str) -> Operation {
    operation("delete", path, id, Right::Administer, summary).query(VERSIONED)
}
