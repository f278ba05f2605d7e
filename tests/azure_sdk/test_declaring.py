"""A fabric and its devices that nobody but the official client has declared."""

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
