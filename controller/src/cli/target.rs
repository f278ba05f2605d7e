//! Which fabric or device a command is about: found by name, by group and name, or by id.

use serde::Deserialize;

use super::args::{DeviceTarget, FabricTarget};
use super::failure::{Exit, Failure};
use super::resource::segment;
use crate::client::Client;
use crate::document::nearest;

/// What there is on the server, as far as names go.
#[derive(Debug, Deserialize)]
pub(super) struct Known {
    value: Vec<KnownFabric>,
}

#[derive(Debug, Deserialize)]
struct KnownFabric {
    id: String,
    name: String,
    devices: Vec<String>,
    #[serde(default, rename = "bootstrapDevices")]
    bootstrap_devices: Vec<String>,
}

const DEVICES: &str = "networkDevices";
const BOOTSTRAP_DEVICES: &str = "networkBootstrapDevices";

/// A kind of thing, and how a person asks for it.
struct Wanted<'a> {
    kind: &'static str,
    name: Option<&'a str>,
    group: Option<&'a str>,
}

impl Known {
    /// Asks the server.
    pub(super) async fn ask(client: &Client) -> Result<Self, Failure> {
        Self::ask_for("/keyturn/v1/fabrics", client).await
    }

    /// Asks the server for deleted fabrics of which passwords are kept, each id once.
    pub(super) async fn ask_deleted(client: &Client) -> Result<Self, Failure> {
        let mut known = Self::ask_for("/keyturn/v1/deletedFabrics", client).await?;
        known.value.dedup_by(|a, b| a.id.eq_ignore_ascii_case(&b.id));
        Ok(known)
    }

    async fn ask_for(path: &str, client: &Client) -> Result<Self, Failure> {
        let doing = "list what there is";
        let answer = client.get(path).await;
        let answer = answer.map_err(|error| Failure::client(doing, &error))?;
        serde_json::from_value(answer).map_err(|error| Failure::of(doing, &error, None))
    }

    /// Returns the ids of all fabrics, of one group if it is named.
    pub(super) fn fabrics(&self, group: Option<&str>) -> Vec<&str> {
        let ids = self.value.iter().map(|fabric| fabric.id.as_str());
        ids.filter(|id| in_group(id, group)).collect()
    }

    /// Finds one fabric. Without any name it is the only one there is.
    pub(super) fn fabric(&self, target: &FabricTarget) -> Result<String, Failure> {
        let name = target.ids.first().or(target.resource_name.as_ref()).map(String::as_str);
        let wanted = Wanted {
            kind: "fabric",
            name: name.or(target.fabric.as_deref()),
            group: target.resource_group.as_deref(),
        };
        let all: Vec<String> = self.value.iter().map(|fabric| fabric.id.clone()).collect();
        wanted.find(&all)
    }

    /// Finds one device.
    pub(super) fn device(&self, target: &DeviceTarget) -> Result<String, Failure> {
        let name = target.ids.first().or(target.resource_name.as_ref()).map(String::as_str);
        let wanted = Wanted {
            kind: "device",
            name: name.or(target.device.as_deref()),
            group: target.resource_group.as_deref(),
        };
        if wanted.name.is_none() {
            let failure = Failure::new(Exit::Usage, "find out which device is meant");
            return Err(failure.hint("give its name, or `--ids ID`"));
        }
        let ids = self.value.iter().flat_map(|fabric| {
            let base = fabric.id.strip_suffix(&format!("networkFabrics/{}", fabric.name));
            let base = base.unwrap_or_default();
            let ids = |names: &[String], kind: &str| -> Vec<String> {
                names.iter().map(|name| format!("{base}{kind}/{name}")).collect()
            };
            let mut all = ids(&fabric.devices, DEVICES);
            all.extend(ids(&fabric.bootstrap_devices, BOOTSTRAP_DEVICES));
            all
        });
        wanted.find(&ids.collect::<Vec<_>>())
    }
}

/// Returns a device's id among the network devices, by which Keyturn's own routes know every
/// device.
pub(super) fn as_network_device(id: &str) -> String {
    match id.rsplit_once('/') {
        Some((above, name)) if above.ends_with(BOOTSTRAP_DEVICES) => {
            let base = above.strip_suffix(BOOTSTRAP_DEVICES).unwrap_or_default();
            format!("{base}{DEVICES}/{name}")
        }
        _ => id.to_owned(),
    }
}

impl Wanted<'_> {
    fn find(&self, all: &[String]) -> Result<String, Failure> {
        let in_group: Vec<&String> = all.iter().filter(|id| in_group(id, self.group)).collect();
        let fits = |id: &str| match self.name {
            Some(wanted) if wanted.starts_with('/') => id.eq_ignore_ascii_case(wanted),
            Some(wanted) => last(id).eq_ignore_ascii_case(wanted),
            None => true,
        };
        let found: Vec<&String> = in_group.iter().copied().filter(|id| fits(id)).collect();
        match found.as_slice() {
            [id] => Ok((*id).clone()),
            [] => Err(self.not_found(&in_group)),
            several => Err(self.ambiguous(several)),
        }
    }

    fn not_found(&self, all: &[&String]) -> Failure {
        let kind = self.kind;
        let Some(wanted) = self.name else {
            let failure = Failure::new(Exit::NotFound, format!("find a {kind}: there is none"));
            return failure.hint("declare one with `keyturn fabric apply -f fabric.toml`");
        };
        let names = all.iter().map(|id| last(id));
        let near = nearest(last(wanted), names).map(|near| format!("did you mean `{near}`?"));
        let hint = near.unwrap_or_else(|| format!("`keyturn {kind} list` shows what there is"));
        Failure::new(Exit::NotFound, format!("find {kind} `{wanted}`")).hint(hint)
    }

    fn ambiguous(&self, several: &[&String]) -> Failure {
        const SHOWN_MAX: usize = 5;
        let kind = self.kind;
        let ids: Vec<&str> = several.iter().take(SHOWN_MAX).map(|id| id.as_str()).collect();
        let message = format!("find out which of {} {kind}s is meant", several.len());
        Failure::new(Exit::Usage, message)
            .hint(format!("give one of these with `--ids`: {}", ids.join(", ")))
    }
}

/// Returns the name at the end of an id.
pub(super) fn last(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

fn in_group(id: &str, group: Option<&str>) -> bool {
    group.is_none_or(|group| segment(id, "resourceGroups").eq_ignore_ascii_case(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups";
    const TYPE: &str = "providers/Microsoft.ManagedNetworkFabric";

    fn known(fabrics: &[(&str, &str, &[&str])]) -> Known {
        let fabric = |(group, name, devices): &(&str, &str, &[&str])| KnownFabric {
            id: format!("{BASE}/{group}/{TYPE}/networkFabrics/{name}"),
            name: (*name).to_owned(),
            devices: devices.iter().map(|name| (*name).to_owned()).collect(),
            bootstrap_devices: vec!["new-01".to_owned()],
        };
        Known { value: fabrics.iter().map(fabric).collect() }
    }

    fn device(name: &str, group: Option<&str>) -> DeviceTarget {
        DeviceTarget {
            device: Some(name.to_owned()),
            resource_group: group.map(str::to_owned),
            ..DeviceTarget::default()
        }
    }

    #[test]
    fn the_only_fabric_needs_no_name() {
        let known = known(&[("lab", "east", &[])]);
        let found = known.fabric(&FabricTarget::default()).unwrap();
        assert_eq!(found, format!("{BASE}/lab/{TYPE}/networkFabrics/east"));
    }

    #[test]
    fn a_device_is_found_by_its_short_name_in_any_case_or_by_its_id() {
        let known = known(&[("lab", "east", &["ce-01", "ce-02"])]);
        let id = format!("{BASE}/lab/{TYPE}/networkDevices/ce-02");
        for name in ["ce-02", "CE-02", &id, &id.to_uppercase()] {
            assert_eq!(known.device(&device(name, None)).unwrap(), id);
        }
    }

    #[test]
    fn a_device_that_waits_for_its_first_set_is_found_among_its_kind() {
        let known = known(&[("lab", "east", &["ce-01"])]);
        let id = known.device(&device("new-01", None)).unwrap();
        assert_eq!(id, format!("{BASE}/lab/{TYPE}/networkBootstrapDevices/new-01"));
        let own = format!("{BASE}/lab/{TYPE}/networkDevices/new-01");
        assert_eq!(as_network_device(&id), own);
        assert_eq!(as_network_device(&own), own);
    }

    #[test]
    fn an_unknown_name_is_not_found_and_the_nearest_is_told() {
        let known = known(&[("lab", "east", &["ce-01", "tor-01"])]);
        let failure = known.device(&device("tor-1", None)).unwrap_err();
        assert_eq!(failure.exit(), Exit::NotFound);
        let wanted = Failure::new(Exit::NotFound, "find device `tor-1`");
        assert_eq!(failure, wanted.hint("did you mean `tor-01`?"));
    }

    #[test]
    fn a_name_that_two_fabrics_have_is_ambiguous_until_its_group_is_told() {
        let known = known(&[("lab", "east", &["ce-01"]), ("site", "west", &["ce-01"])]);
        let failure = known.device(&device("ce-01", None)).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(known.device(&device("ce-01", Some("SITE"))).unwrap().contains("/site/"));
        assert_eq!(known.fabric(&FabricTarget::default()).unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn a_device_is_never_guessed() {
        let known = known(&[("lab", "east", &["ce-01"])]);
        let failure = known.device(&DeviceTarget::default()).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
    }
}
