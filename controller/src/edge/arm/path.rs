//! What a path means.

use axum::http::StatusCode;
use protocol::id::{DeviceId, FabricId, IdError, OperationId, PROVIDER, ResourceGroup};

use super::API_VERSION;
use super::directory::Directory;
use crate::edge::answer::ApiError;
use crate::model::Device;

/// What a request is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// All resources of a kind in a subscription or a resource group.
    List {
        /// The kind.
        kind: Kind,
        /// Where.
        scope: Scope,
    },
    /// One fabric.
    Fabric(FabricId),
    /// One device.
    Device(DeviceId, DeviceKind),
    /// Something to be done to a fabric.
    FabricAction(FabricId, FabricAction),
    /// Something to be done to a device.
    DeviceAction(DeviceId, DeviceKind, DeviceAction),
    /// What stands above all resources.
    Directory(Directory),
    /// One subscription.
    Subscription(String),
    /// A long-running operation.
    Operation {
        /// The subscription in the path.
        subscription: String,
        /// The operation.
        id: OperationId,
    },
}

/// The kinds of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `networkFabrics`
    Fabric,
    /// Devices.
    Device(DeviceKind),
}

/// The kinds of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeviceKind {
    /// `networkDevices`
    Network,
    /// `networkBootstrapDevices`: they wait for their first password set.
    Bootstrap,
}

impl Kind {
    /// All kinds.
    pub(super) const ALL: [Self; 3] =
        [Self::Fabric, Self::Device(DeviceKind::Network), Self::Device(DeviceKind::Bootstrap)];

    /// What the name of one resource is called in a path with names in braces.
    fn variable(self) -> &'static str {
        match self {
            Self::Fabric => "networkFabricName",
            Self::Device(DeviceKind::Network) => "networkDeviceName",
            Self::Device(DeviceKind::Bootstrap) => "networkBootstrapDeviceName",
        }
    }

    /// Returns the kind's name in paths.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Fabric => FabricId::KIND,
            Self::Device(kind) => kind.as_str(),
        }
    }
}

impl DeviceKind {
    /// Returns the kind's name in paths.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Network => DeviceId::KIND,
            Self::Bootstrap => "networkBootstrapDevices",
        }
    }

    /// Returns the kind of a device.
    pub(super) fn of(device: &Device) -> Self {
        if device.spec.bootstrap { Self::Bootstrap } else { Self::Network }
    }

    /// Returns the id of one of a fabric's devices, as this API shows it.
    pub(super) fn id(self, device: &DeviceId) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/{PROVIDER}/{}/{}",
            device.subscription(),
            device.group(),
            self.as_str(),
            device.name()
        )
    }
}

/// Where a list looks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The subscription.
    pub(super) subscription: String,
    /// The resource group; `None` for the whole subscription.
    pub(super) group: Option<ResourceGroup>,
}

/// The actions on a fabric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FabricAction {
    /// `rotatePasswords`
    Rotate,
    /// `resyncPasswords`
    Resync,
    /// `lockFabric`
    Lock,
    /// `commitConfiguration`
    Commit,
    /// `upgrade`
    Upgrade,
}

/// The actions on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeviceAction {
    /// `resyncPasswords`
    Resync,
    /// `updateAdministrativeState`
    UpdateAdministrativeState,
    /// `upgrade`
    Upgrade,
    /// `reboot`
    Reboot,
}

impl FabricAction {
    const ALL: [Self; 5] = [Self::Rotate, Self::Resync, Self::Lock, Self::Commit, Self::Upgrade];

    /// Returns the action's name in paths.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rotate => "rotatePasswords",
            Self::Resync => "resyncPasswords",
            Self::Lock => "lockFabric",
            Self::Commit => "commitConfiguration",
            Self::Upgrade => "upgrade",
        }
    }
}

impl DeviceAction {
    const ALL: [Self; 4] =
        [Self::Resync, Self::UpdateAdministrativeState, Self::Upgrade, Self::Reboot];

    /// Returns the action's name in paths.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Resync => "resyncPasswords",
            Self::UpdateAdministrativeState => "updateAdministrativeState",
            Self::Upgrade => "upgrade",
            Self::Reboot => "reboot",
        }
    }
}

impl Kind {
    /// Returns the names of the actions on resources of the kind.
    pub(super) fn actions(self) -> Vec<&'static str> {
        match self {
            Self::Fabric => FabricAction::ALL.map(FabricAction::as_str).to_vec(),
            Self::Device(_) => DeviceAction::ALL.map(DeviceAction::as_str).to_vec(),
        }
    }
}

/// Returns every path that means something, with names in braces for what varies.
pub(super) fn templates() -> Vec<String> {
    const SUBSCRIPTION: &str = "/subscriptions/{subscriptionId}";
    let group = format!("{SUBSCRIPTION}/resourceGroups/{{resourceGroupName}}");
    let mut all = vec![
        "/subscriptions".to_owned(),
        SUBSCRIPTION.to_owned(),
        "/tenants".to_owned(),
        format!("/providers/{PROVIDER}/operations"),
        format!(
            "{SUBSCRIPTION}/providers/{PROVIDER}/locations/{{location}}/operationStatuses/\
             {{operationId}}"
        ),
    ];
    for kind in Kind::ALL {
        let list = format!("providers/{PROVIDER}/{}", kind.as_str());
        let one = format!("{group}/{list}/{{{}}}", kind.variable());
        all.extend(kind.actions().into_iter().map(|action| format!("{one}/{action}")));
        all.extend([format!("{SUBSCRIPTION}/{list}"), format!("{group}/{list}"), one]);
    }
    all
}

/// Parses a path, decoded and without its first slash. Compares without case; names keep the case
/// that they have in the path.
pub(super) fn parse(path: &str) -> Result<Target, ApiError> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<&str> = path.split('/').collect();
    let is = |given: &str, wanted: &str| given.eq_ignore_ascii_case(wanted);
    match segments.as_slice() {
        [one] if is(one, "subscriptions") => Ok(Target::Directory(Directory::Subscriptions)),
        [one] if is(one, "tenants") => Ok(Target::Directory(Directory::Tenants)),
        [first, subscription] if is(first, "subscriptions") => {
            Ok(Target::Subscription(subscription_id(subscription)?))
        }
        [providers, provider, last] if is(providers, "providers") && is(last, "operations") => {
            namespace(provider)?;
            Ok(Target::Directory(Directory::Operations))
        }
        [first, subscription, groups, group, providers, provider, rest @ ..]
            if is(first, "subscriptions")
                && is(groups, "resourceGroups")
                && is(providers, "providers") =>
        {
            namespace(provider)?;
            in_group(&subscription_id(subscription)?, group, rest)
        }
        [first, subscription, providers, provider, rest @ ..]
            if is(first, "subscriptions") && is(providers, "providers") =>
        {
            namespace(provider)?;
            in_subscription(subscription_id(subscription)?, rest)
        }
        _ => Err(unknown(&format!("/{path}"))),
    }
}

/// Says that nothing is served under a path.
pub(super) fn unknown(path: &str) -> ApiError {
    let path: String = path.chars().filter(|c| !c.is_control()).take(300).collect();
    let message = format!("The resource '{path}' was not found.");
    ApiError::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
}

fn in_group(subscription: &str, group: &str, rest: &[&str]) -> Result<Target, ApiError> {
    let (kind, rest) = kind(rest)?;
    let id_error = |error: IdError| invalid_name(&error);
    match rest {
        [] => {
            let group = Some(ResourceGroup::new(group).map_err(id_error)?);
            let scope = Scope { subscription: subscription.to_owned(), group };
            Ok(Target::List { kind, scope })
        }
        [name, rest @ ..] if rest.len() < 2 => match kind {
            Kind::Fabric => {
                let id = FabricId::new(subscription, group, name).map_err(id_error)?;
                let Some(given) = rest.first() else { return Ok(Target::Fabric(id)) };
                Ok(Target::FabricAction(
                    id,
                    action(kind, given, FabricAction::ALL, FabricAction::as_str)?,
                ))
            }
            Kind::Device(device) => {
                let id = DeviceId::new(subscription, group, name).map_err(id_error)?;
                let Some(given) = rest.first() else { return Ok(Target::Device(id, device)) };
                Ok(Target::DeviceAction(
                    id,
                    device,
                    action(kind, given, DeviceAction::ALL, DeviceAction::as_str)?,
                ))
            }
        },
        longer => Err(no_type(&longer.join("/"))),
    }
}

fn in_subscription(subscription: String, rest: &[&str]) -> Result<Target, ApiError> {
    if let [locations, _location, statuses, name] = rest
        && locations.eq_ignore_ascii_case("locations")
        && statuses.eq_ignore_ascii_case("operationStatuses")
    {
        let id = name.parse().map_err(|_error| no_operation(name))?;
        return Ok(Target::Operation { subscription, id });
    }
    match kind(rest)? {
        (kind, []) => Ok(Target::List { kind, scope: Scope { subscription, group: None } }),
        (_kind, longer) => Err(no_type(&longer.join("/"))),
    }
}

/// Says that there is no such operation, or none in that subscription.
pub(super) fn no_operation(name: &str) -> ApiError {
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    let message = format!("The operation '{name}' was not found.");
    ApiError::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
        .hint("`keyturn operation list` shows the operations")
}

fn kind<'p>(rest: &'p [&'p str]) -> Result<(Kind, &'p [&'p str]), ApiError> {
    let Some((given, rest)) = rest.split_first() else { return Err(no_type("")) };
    let found = Kind::ALL.into_iter().find(|kind| given.eq_ignore_ascii_case(kind.as_str()));
    found.map(|kind| (kind, rest)).ok_or_else(|| no_type(given))
}

fn action<T: Copy, const N: usize>(
    kind: Kind,
    given: &str,
    known: [T; N],
    name: fn(T) -> &'static str,
) -> Result<T, ApiError> {
    let found = known.into_iter().find(|action| name(*action).eq_ignore_ascii_case(given));
    found.ok_or_else(|| {
        let hint = format!("use one of {}", kind.actions().join(", "));
        no_type(&format!("{}/{given}", kind.as_str())).hint(hint)
    })
}

fn namespace(given: &str) -> Result<(), ApiError> {
    if given.eq_ignore_ascii_case(PROVIDER) {
        return Ok(());
    }
    let given: String = given.chars().filter(|c| !c.is_control()).take(100).collect();
    let message = format!("The resource namespace '{given}' is invalid.");
    let error = ApiError::new(StatusCode::NOT_FOUND, "InvalidResourceNamespace", message);
    Err(error.hint(format!("use {PROVIDER}")))
}

fn no_type(given: &str) -> ApiError {
    let given: String = given.chars().filter(|c| !c.is_control()).take(200).collect();
    let message = format!(
        "The resource type '{given}' could not be found in the namespace '{PROVIDER}' for api \
         version '{API_VERSION}'. The supported api-versions are '{API_VERSION}'."
    );
    ApiError::new(StatusCode::NOT_FOUND, "InvalidResourceType", message)
}

fn subscription_id(given: &str) -> Result<String, ApiError> {
    if given.len() == 36 && uuid::Uuid::try_parse(given).is_ok() {
        return Ok(given.to_owned());
    }
    let given: String = given.chars().filter(|c| !c.is_control()).take(100).collect();
    let message = format!(
        "The provided subscription identifier '{given}' is malformed or invalid: expected \
         xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx."
    );
    Err(ApiError::new(StatusCode::BAD_REQUEST, "InvalidSubscriptionId", message))
}

fn invalid_name(error: &IdError) -> ApiError {
    let message = format!("The request path is invalid: failed to {error}.");
    ApiError::new(StatusCode::BAD_REQUEST, "InvalidResourceName", message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const S: &str = "subscriptions/00000000-0000-0000-0000-000000000001";
    const B: &str = "subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/Lab/\
                     providers/Microsoft.ManagedNetworkFabric";

    fn name(path: &str) -> String {
        match parse(path) {
            Ok(target) => format!("{target:?}"),
            Err(error) => format!("{error:?}").split('"').nth(1).unwrap().to_owned(),
        }
    }

    #[test]
    fn paths_mean_the_same_in_any_case_and_with_a_slash_at_the_end() {
        let cases = [
            (format!("{B}/networkFabrics"), "List { kind: Fabric"),
            (format!("{B}/networkFabrics/East"), "Fabric(East)"),
            (format!("{B}/networkFabrics/East/rotatePasswords"), "FabricAction(East, Rotate)"),
            (format!("{B}/networkFabrics/East/lockFabric"), "FabricAction(East, Lock)"),
            (format!("{B}/networkFabrics/East/upgrade"), "FabricAction(East, Upgrade)"),
            ("subscriptions".to_owned(), "Directory(Subscriptions)"),
            (S.to_owned(), "Subscription("),
            ("tenants".to_owned(), "Directory(Tenants)"),
            (
                "providers/Microsoft.ManagedNetworkFabric/operations".to_owned(),
                "Directory(Operations)",
            ),
            (format!("{B}/networkDevices/ce-01"), "Device(ce-01, Network)"),
            (format!("{B}/networkBootstrapDevices/ce-01"), "Device(ce-01, Bootstrap)"),
            (
                format!("{B}/networkDevices/ce-01/resyncPasswords"),
                "DeviceAction(ce-01, Network, Resync)",
            ),
            (format!("{S}/providers/Microsoft.ManagedNetworkFabric/networkDevices"), "List {"),
        ];
        for (path, wanted) in cases {
            for path in [path.clone(), path.to_uppercase(), format!("{path}/")] {
                let got = name(&path);
                assert!(got.to_lowercase().starts_with(&wanted.to_lowercase()), "{path}: {got}");
            }
        }
    }

    /// A new target is a line here, in the list below, and in the templates.
    fn shape(target: &Target) -> &'static str {
        match target {
            Target::List { scope: Scope { group: None, .. }, .. } => "list of a subscription",
            Target::List { .. } => "list of a group",
            Target::Fabric(_) => "fabric",
            Target::Device(_, DeviceKind::Network) => "device",
            Target::Device(_, DeviceKind::Bootstrap) => "bootstrap device",
            Target::FabricAction(..) => "fabric action",
            Target::DeviceAction(_, DeviceKind::Network, _) => "device action",
            Target::DeviceAction(_, DeviceKind::Bootstrap, _) => "bootstrap device action",
            Target::Directory(Directory::Subscriptions) => "subscriptions",
            Target::Directory(Directory::Tenants) => "tenants",
            Target::Directory(Directory::Operations) => "operations",
            Target::Subscription(_) => "subscription",
            Target::Operation { .. } => "operation",
        }
    }

    #[test]
    fn every_target_has_a_template_and_every_template_a_target() {
        let guid = "00000000-0000-0000-0000-000000000001";
        let found: BTreeSet<&str> = templates()
            .into_iter()
            .map(|template| {
                let path = template.replace("{subscriptionId}", guid);
                let path = path.replace("{operationId}", guid).replace(['{', '}'], "");
                shape(&parse(path.trim_start_matches('/')).unwrap())
            })
            .collect();
        let all = [
            "list of a subscription",
            "list of a group",
            "fabric",
            "device",
            "bootstrap device",
            "bootstrap device action",
            "fabric action",
            "device action",
            "subscriptions",
            "tenants",
            "operations",
            "subscription",
            "operation",
        ];
        assert_eq!(found, BTreeSet::from(all));
    }

    #[test]
    fn paths_that_mean_nothing_are_told_apart() {
        let cases = [
            ("favicon.ico".to_owned(), "ResourceNotFound"),
            ("subscriptions/x".to_owned(), "InvalidSubscriptionId"),
            ("providers/Microsoft.Compute/operations".to_owned(), "InvalidResourceNamespace"),
            (B.to_owned(), "InvalidResourceType"),
            (format!("{B}/networkRacks"), "InvalidResourceType"),
            (format!("{B}/networkFabrics/East/explode"), "InvalidResourceType"),
            (format!("{B}/networkFabrics/East/lockFabric/more"), "InvalidResourceType"),
            (format!("{B}/networkFabrics/a b"), "InvalidResourceName"),
            (
                format!("{S}/providers/Microsoft.Compute/virtualMachines"),
                "InvalidResourceNamespace",
            ),
            (
                "subscriptions/x/providers/Microsoft.ManagedNetworkFabric/networkFabrics"
                    .to_owned(),
                "InvalidSubscriptionId",
            ),
            (
                format!(
                    "{S}/providers/Microsoft.ManagedNetworkFabric/locations/x/operationStatuses/1"
                ),
                "ResourceNotFound",
            ),
        ];
        for (path, wanted) in cases {
            assert_eq!(name(&path), wanted, "{path}");
        }
    }
}
