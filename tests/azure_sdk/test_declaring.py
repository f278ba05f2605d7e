"""A fabric and its devices that nobody but the official client has declared."""

import json

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.managednetworkfabric import models

from test_rotation import by_name, sets_in_use, statuses, text


def fabric(site):
    """The client's own model, with all that it requires."""
    vpn = models.VpnConfigurationProperties(peering_option="OptionA")
    flags = site.inventory["fabric"]["feature-flags"].items()
    return models.NetworkFabric(
        location="local",
        tags={"owner": "core"},
        properties=models.NetworkFabricProperties(
            annotation="rack 7",
            network_fabric_sku="M4-A400-A100-C16-aa",
            network_fabric_controller_id=site.provider_path("networkFabricControllers/nfc1"),
            server_count_per_rack=8,
            rack_count=4,
            ipv4_prefix="10.18.0.0/19",
            fabric_asn=29249,
            feature_flags=[
                models.FeatureFlagProperties(feature_flag_name=name, feature_flag_value=value)
                for name, value in flags
            ],
            terminal_server_configuration=models.TerminalServerConfiguration(
                username="root",
                password=site.factory_passwords["TerminalServer"],
                primary_ipv4_prefix="10.0.0.12/30",
                secondary_ipv4_prefix="20.0.0.13/30",
            ),
            management_network_configuration=models.ManagementNetworkConfigurationProperties(
                infrastructure_vpn_configuration=vpn, workload_vpn_configuration=vpn,
            ),
        ),
    )


def test_a_fabric_is_declared_adopted_and_rotated_by_the_client_alone(blank):
    client = blank.client()
    with pytest.raises(ResourceNotFoundError):
        client.network_fabrics.get(blank.group, blank.fabric)
    made = client.network_fabrics.begin_create(blank.group, blank.fabric, fabric(blank)).result()
    assert text(made.properties.provisioning_state) == "Succeeded"
    assert (made.tags, made.properties.annotation) == ({"owner": "core"}, "rack 7")
    assert (made.properties.rack_count, made.properties.fabric_asn) == (4, 29249)
    assert made.properties.network_fabric_sku == "M4-A400-A100-C16-aa"

    names = [device["name"] for device in blank.inventory["devices"]]
    # Devices behind a terminal server are declared after it.
    for name in sorted(names, key=lambda name: not name.startswith("ts")):
        body = blank.declaration(name)
        if name.startswith("ts"):
            # Told with the fabric.
            del body["properties"]["keyturn"]["currentPasswords"]
        device = client.network_devices.begin_create(blank.group, name, body).result()
        assert text(device.properties.provisioning_state) == "Succeeded"
        assert statuses(device) == {"InSync"}, name
    assert set(by_name(client, blank)) == set(names)

    again = client.network_fabrics.begin_create(blank.group, blank.fabric, fabric(blank)).result()
    assert again.properties.annotation == "rack 7"
    body = blank.declaration(names[0])
    client.network_devices.begin_create(blank.group, names[0], body).result()
    assert sets_in_use(client, blank) > 0

    result = client.network_fabrics.begin_rotate_passwords(blank.group, blank.fabric).result()
    assert result.status == "Succeeded"
    assert sets_in_use(client, blank) == 1
    for name, user in ((names[0], "admin"), ("ts-01", "root")):
        value = blank.reveal(name, user)["value"]
        assert blank.opens(name, user, value) == "running=yes startup=yes"


def codes(caught):
    return {detail.code for detail in caught.value.error.details}


def test_a_wrong_declaration_fails_with_its_reason_and_a_right_one_mends_it(blank):
    client = blank.client()
    client.network_fabrics.begin_create(blank.group, blank.fabric, fabric(blank)).result()
    client.network_devices.begin_create(blank.group, "ts-01", blank.declaration("ts-01")).result()
    body = blank.declaration("ce-01")
    ssh = body["properties"]["keyturn"]["ssh"]
    right, ssh["hostKey"] = ssh["hostKey"], blank.declaration("ts-01")["properties"]["keyturn"]["ssh"]["hostKey"]
    # No way but the one with the wrong key.
    console = body["properties"]["keyturn"].pop("console")
    with pytest.raises(HttpResponseError) as caught:
        client.network_devices.begin_create(blank.group, "ce-01", body).result()
    assert codes(caught) == {"HostKeyMismatch"}
    body["properties"]["keyturn"].update(ssh={**ssh, "hostKey": right}, console=console)
    device = client.network_devices.begin_create(blank.group, "ce-01", body).result()
    assert statuses(device) == {"InSync"}

    body = blank.declaration("ce-02")
    passwords = body["properties"]["keyturn"]["currentPasswords"]
    body["properties"]["keyturn"]["currentPasswords"] = {name: "Wrong-one.1" for name in passwords}
    with pytest.raises(HttpResponseError) as caught:
        client.network_devices.begin_create(blank.group, "ce-02", body).result()
    assert codes(caught) == {"AuthenticationFailed"}
    assert "Wrong-one" not in str(caught.value)
    assert statuses(by_name(client, blank)["ce-02"]) == {"OutOfSync"}


def test_a_device_without_the_extension_is_not_declared_and_the_client_is_told_why(blank):
    client = blank.client()
    client.network_fabrics.begin_create(blank.group, blank.fabric, fabric(blank)).result()
    typed = models.NetworkDevice(
        location="local",
        properties=models.NetworkDeviceProperties(serial_number="Arista;DCS-7280;12.05;JPE1"),
    )
    with pytest.raises(HttpResponseError) as caught:
        client.network_devices.begin_create(blank.group, "ce-01", typed)
    assert caught.value.status_code == 400
    assert caught.value.error.target == "properties.keyturn"
    with pytest.raises(ResourceNotFoundError):
        client.network_devices.get(blank.group, "ce-01")


def bootstrap(client, site):
    return {device.name for device in client.network_bootstrap_devices.list_by_subscription()}


def test_a_new_device_waits_is_brought_the_newest_set_and_joins_the_fabric(blank):
    client = blank.client()
    client.network_fabrics.begin_create(blank.group, blank.fabric, fabric(blank)).result()
    for name in ("ts-01", "ce-01"):
        client.network_devices.begin_create(blank.group, name, blank.declaration(name)).result()
    rotate = client.network_fabrics.begin_rotate_passwords
    assert rotate(blank.group, blank.fabric).result().status == "Succeeded"

    waiting = client.network_bootstrap_devices
    made = waiting.begin_create(blank.group, "ce-02", blank.declaration("ce-02")).result()
    assert made.properties.network_fabric_id.lower() == blank.inventory_id.lower()
    assert made.properties.primary_management_ipv4_address == "127.0.0.1"
    assert bootstrap(client, blank) == {"ce-02"}
    assert [d.name for d in waiting.list_by_resource_group(blank.group)] == ["ce-02"]
    assert set(by_name(client, blank)) == {"ts-01", "ce-01"}
    with pytest.raises(ResourceNotFoundError):
        client.network_devices.get(blank.group, "ce-02")

    # A rotation of the fabric is not about it.
    assert rotate(blank.group, blank.fabric).result().status == "Succeeded"
    factory = blank.factory_passwords["admin"]
    assert blank.opens("ce-02", "admin", factory) == "running=yes startup=yes"
    assert sets_in_use(client, blank) == 1
    noted = waiting.begin_update(blank.group, "ce-02", {"tags": {"shelf": "3"}}).result()
    assert noted.tags == {"shelf": "3"}

    result = waiting.begin_resync_passwords(blank.group, "ce-02").result()
    assert result.status == "Succeeded"
    assert result.resource_id.endswith("/networkBootstrapDevices/ce-02")
    shown = json.loads(blank.keyturn("device", "show", "ce-02", "-o", "json"))
    secrets = shown["secretRotationStatus"]
    assert {secret["synchronizationStatus"] for secret in secrets} == {"InSync"}
    assert "ce-02" in blank.keyturn("device", "list", "--bootstrap")
    value = blank.reveal("ce-02")["value"]
    assert value == blank.reveal("ce-01")["value"] != factory
    assert blank.opens("ce-02", "admin", value) == "running=yes startup=yes"

    joins = models.NetworkDevice(
        location="local",
        properties=models.NetworkDeviceProperties(serial_number=made.properties.serial_number),
    )
    device = client.network_devices.begin_create(blank.group, "ce-02", joins).result()
    assert statuses(device) == {"InSync"}
    assert bootstrap(client, blank) == set()
    assert rotate(blank.group, blank.fabric).result().status == "Succeeded"
    assert blank.opens("ce-02", "admin", blank.reveal("ce-02")["value"]) == "running=yes startup=yes"

    # What waits is in nobody's service: it goes at once.
    waiting.begin_create(blank.group, "tor-01", blank.declaration("tor-01")).result()
    waiting.begin_delete(blank.group, "tor-01").result()
    with pytest.raises(ResourceNotFoundError):
        waiting.get(blank.group, "tor-01")
