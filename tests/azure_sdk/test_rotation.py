"""A rotation, its failures and its repair, as the how-to describes them."""

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceExistsError


def text(value):
    """The wire's spelling of one of the client's enumerations."""
    return getattr(value, "value", value)


def by_name(client, site):
    devices = client.network_devices.list_by_resource_group(site.group)
    return {device.name: device for device in devices}


def statuses(device):
    return {text(secret.synchronization_status) for secret in device.properties.secret_rotation_status}


def sets_in_use(client, site):
    fabric = client.network_fabrics.get(site.group, site.fabric)
    return fabric.properties.secret_rotation_summary.active_password_set_count


def versions(device):
    return {
        secret.secret_type: secret.secret_archive_reference.secret_version
        for secret in device.properties.secret_rotation_status
    }


def test_a_rotation_changes_every_password_and_says_so(client, site):
    before = by_name(client, site)
    poller = client.network_fabrics.begin_rotate_passwords(site.group, site.fabric)
    result = poller.result()
    assert (result.status, result.percent_complete) == ("Succeeded", 100)
    assert result.resource_id.lower() == site.inventory_id.lower()
    assert {entry.status for entry in result.operations} == {"Succeeded"}
    assert len(result.operations) == len(before)
    assert sets_in_use(client, site) == 1
    fabric = client.network_fabrics.get(site.group, site.fabric)
    assert fabric.properties.configuration_state == "Succeeded"
    assert fabric.properties.administrative_state == "Enabled"
    terminal_server = fabric.properties.terminal_server_configuration
    assert [s.secret_type for s in terminal_server.secret_rotation_status] == [
        "Terminal Server password"
    ]
    for name, device in by_name(client, site).items():
        assert statuses(device) == {"InSync"}, name
        changed = versions(device)
        assert changed.keys() == versions(before[name]).keys()
        assert all(changed[kind] != old for kind, old in versions(before[name]).items()), name
        for secret in device.properties.secret_rotation_status:
            reference = secret.secret_archive_reference
            assert reference.key_vault_uri.endswith(
                f"/secrets/{reference.secret_name}/{reference.secret_version}"
            )
            assert secret.last_rotation_time is not None
    assert site.opens("ce-01", "admin", site.reveal("ce-01")["value"]) == "running=yes startup=yes"


def test_a_device_that_cannot_be_reached_keeps_its_version_until_a_resync(client, site):
    old = versions(by_name(client, site)["tor-01"])
    site.fault("tor-01", "refuse-connection")
    with pytest.raises(HttpResponseError) as caught:
        client.network_fabrics.begin_rotate_passwords(site.group, site.fabric).result()
    error = caught.value.error
    assert error.code == "PartialSuccess"
    assert [detail.code for detail in error.details] == ["CouldNotConnect"]
    assert error.details[0].target.endswith("/networkDevices/tor-01")
    assert sets_in_use(client, site) == 2
    failed = by_name(client, site)["tor-01"]
    assert statuses(failed) == {"OutOfSync"}
    assert failed.properties.configuration_state == "DeferredControl"
    assert versions(failed) == old, "the reference names what the device has"
    site.heal("tor-01")
    assert site.opens("tor-01", "admin", site.reveal("tor-01")["value"]) == "running=yes startup=yes"
    result = client.network_devices.begin_resync_passwords(site.group, "tor-01").result()
    assert result.status == "Succeeded"
    assert sets_in_use(client, site) == 1
    mended = by_name(client, site)["tor-01"]
    assert statuses(mended) == {"InSync"}
    assert mended.properties.configuration_state == "Succeeded"


def test_a_terminal_server_that_fails_is_named_so_and_a_fabric_resync_repairs_it(client, site):
    site.fault("ts-01", "refuse-connection")
    with pytest.raises(HttpResponseError) as caught:
        client.network_fabrics.begin_rotate_passwords(site.group, site.fabric).result()
    assert [detail.target for detail in caught.value.error.details] == ["TerminalServer"]
    fabric = client.network_fabrics.get(site.group, site.fabric)
    secret = fabric.properties.terminal_server_configuration.secret_rotation_status[0]
    assert secret.synchronization_status == "OutOfSync"
    site.heal("ts-01")
    result = client.network_fabrics.begin_resync_passwords(site.group, site.fabric).result()
    assert result.status == "Succeeded"
    assert sets_in_use(client, site) == 1


def test_a_rotation_is_seen_while_it_runs_and_a_second_one_is_refused(client, site):
    poller = client.network_fabrics.begin_rotate_passwords(site.group, site.fabric)
    fabric = client.network_fabrics.get(site.group, site.fabric)
    assert fabric.properties.administrative_state == "UnderMaintenance"
    with pytest.raises(ResourceExistsError) as caught:
        client.network_fabrics.begin_rotate_passwords(site.group, site.fabric)
    assert caught.value.error.code == "OperationInProgress"
    assert "retry-after" not in caught.value.response.headers
    with pytest.raises(ResourceExistsError):
        client.network_devices.begin_update_administrative_state(
            site.group, "ce-01", {"state": "Disable"}
        )
    assert poller.result().status == "Succeeded"


def test_a_continuation_token_resumes_in_another_client(site):
    poller = site.client().network_fabrics.begin_rotate_passwords(site.group, site.fabric)
    token = poller.continuation_token()
    other = site.client()
    resumed = other.network_fabrics.begin_rotate_passwords(
        site.group, site.fabric, continuation_token=token
    )
    assert resumed.result().status == "Succeeded"
    again = other.network_fabrics.begin_rotate_passwords(
        site.group, site.fabric, continuation_token=token
    )
    assert again.result().status == "Succeeded", "the record outlives the operation"


def test_the_same_request_id_starts_one_rotation(client, site):
    request_id = "6f1c2a9e-0000-4000-8000-000000000001"
    headers = {"x-ms-client-request-id": request_id}
    options = {"headers": headers, "request_id": request_id}
    first = client.network_fabrics.begin_rotate_passwords(site.group, site.fabric, **options)
    result = first.result()
    second = client.network_fabrics.begin_rotate_passwords(site.group, site.fabric, **options)
    assert second.result().name == result.name


def test_the_answers_carry_what_pollers_need(site):
    path = site.provider_path(f"networkFabrics/{site.fabric}/resyncPasswords?api-version=2025-07-15")
    headers = {"Authorization": f"Bearer {site.token}"}
    answer = requests.post(site.url + path, headers=headers, verify=site.ca)
    assert answer.status_code == 202 and answer.json() is None
    status = answer.headers["azure-asyncoperation"]
    assert status == answer.headers["location"] and status.startswith(site.url)
    assert answer.headers["retry-after"] == "1"
    seen = []
    while True:
        poll = requests.get(status, headers=headers, verify=site.ca)
        seen.append(poll.json()["percentComplete"])
        if poll.status_code == 200:
            break
        assert poll.status_code == 202 and poll.headers["retry-after"] == "1"
    assert seen == sorted(seen) and seen[-1] == 100
    assert poll.json()["status"] == "Succeeded" and "retry-after" not in poll.headers
