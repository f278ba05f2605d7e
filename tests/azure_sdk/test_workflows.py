"""The tables of the concept document: what blocks what, and what becomes of whom."""

import json
import time

import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)

from test_rotation import by_name, sets_in_use, statuses, text


def set_state(client, site, device, state):
    return client.network_devices.begin_update_administrative_state(
        site.group, device, {"state": state}
    ).result()


def rotate(client, site):
    return client.network_fabrics.begin_rotate_passwords(site.group, site.fabric).result()


def resync(client, site):
    return client.network_fabrics.begin_resync_passwords(site.group, site.fabric).result()


def refused(code, request, *arguments):
    with pytest.raises(ResourceExistsError) as caught:
        request(*arguments)
    assert caught.value.error.code == code
    assert "retry-after" not in caught.value.response.headers
    return caught.value.error


def lock(client, site, action):
    body = {"lockType": "Administrative", "action": action}
    return client.network_fabrics.begin_lock_fabric(site.group, site.fabric, body).result()


def lock_states(client, site):
    locks = client.network_fabrics.get(site.group, site.fabric).properties.fabric_locks
    return {text(lock.lock_type): text(lock.lock_state) for lock in locks}


def test_a_locked_fabric_refuses_rotation_and_resync_until_it_is_unlocked(client, site):
    lock(client, site, "Lock")
    assert lock_states(client, site)["Administrative"] == "Enabled"
    error = refused("FabricLocked", rotate, client, site)
    assert "locked" in error.message
    refused("FabricLocked", resync, client, site)
    lock(client, site, "Unlock")
    assert lock_states(client, site)["Administrative"] == "Disabled"
    assert rotate(client, site).status == "Succeeded"


def test_a_disabled_device_is_skipped_by_name_and_brought_back_by_enable_and_resync(client, site):
    set_state(client, site, "tor-02", "Disable")
    fabric = client.network_fabrics.get(site.group, site.fabric)
    assert fabric.properties.administrative_state == "EnabledDegraded"
    with pytest.raises(HttpResponseError) as caught:
        rotate(client, site)
    details = {detail.target.split("/")[-1]: detail.code for detail in caught.value.error.details}
    assert details == {"tor-02": "DeviceDisabled"}
    refused("DeviceDisabled", client.network_devices.begin_resync_passwords, site.group, "tor-02")
    set_state(client, site, "tor-02", "Enable")
    assert statuses(by_name(client, site)["tor-02"]) == {"OutOfSync"}
    assert sets_in_use(client, site) == 2
    result = client.network_devices.begin_resync_passwords(site.group, "tor-02").result()
    assert result.status == "Succeeded"
    assert sets_in_use(client, site) == 1


def test_a_device_under_deferred_control_cannot_be_disabled_or_replaced(client, site):
    site.fault("ce-02", "refuse-connection")
    with pytest.raises(HttpResponseError):
        rotate(client, site)
    site.heal("ce-02")
    refused("DeferredControl", set_state, client, site, "ce-02", "Disable")
    refused("DeferredControl", set_state, client, site, "ce-02", "RMA")
    resync(client, site)
    set_state(client, site, "ce-02", "Disable")
    set_state(client, site, "ce-02", "Enable")


def test_a_fabric_with_too_many_sets_refuses_a_rotation_and_names_who_holds_it_back(fresh):
    client = fresh.client()
    for device in ("ce-01", "ce-02"):
        fresh.fault(device, "refuse-connection")
        with pytest.raises(HttpResponseError):
            rotate(client, fresh)
        if device == "ce-01":
            # It drops out here, the other one at the next rotation: two devices on older sets.
            continue
    assert sets_in_use(client, fresh) == 3
    error = refused("PasswordSetsMax", rotate, client, fresh)
    assert "ce-01" in error.message and "ce-02" in error.message
    fresh.heal("ce-01", "ce-02")
    assert resync(client, fresh).status == "Succeeded"
    assert sets_in_use(client, fresh) == 1
    assert rotate(client, fresh).status == "Succeeded"


def test_an_operation_survives_the_daemon(fresh):
    client = fresh.client()
    poller = client.network_fabrics.begin_rotate_passwords(fresh.group, fresh.fabric)
    token = poller.continuation_token()
    time.sleep(1.5)
    fresh.restart()
    resumed = fresh.client().network_fabrics.begin_rotate_passwords(
        fresh.group, fresh.fabric, continuation_token=relocated(token, fresh.url)
    )
    try:
        assert resumed.result().status == "Succeeded"
    except HttpResponseError as error:
        # What was in flight at the kill may need a resync; it may not be lost.
        assert error.error.code == "PartialSuccess"
        assert resync(fresh.client(), fresh).status == "Succeeded"
    assert sets_in_use(fresh.client(), fresh) == 1


def relocated(token, url):
    """The token of a client holds the daemon's address; after a restart it has another port."""
    import base64
    import re

    text = base64.b64decode(token)
    return base64.b64encode(re.sub(rb"https://127\.0\.0\.1:\d{5}", url.encode(), text)).decode()


def commit(client, site, body):
    return client.network_fabrics.begin_commit_configuration(site.group, site.fabric, body).result()


def states(client, site):
    properties = client.network_fabrics.get(site.group, site.fabric).properties
    return text(properties.configuration_state), text(properties.administrative_state)


def test_a_commit_in_progress_blocks_rotation_and_resync_until_it_has_ended(client, site):
    commit(client, site, {"commitStage": "Start"})
    assert states(client, site) == ("Accepted", "Enabled")
    refused("CommitInProgress", rotate, client, site)
    refused("CommitInProgress", resync, client, site)
    refused("CommitInProgress", commit, client, site, {"commitStage": "Start"})
    commit(client, site, {"commitStage": "Continue"})
    assert states(client, site) == ("Provisioned", "Enabled")
    refused("CommitNotInProgress", commit, client, site, {"commitStage": "Rollback"})
    commit(client, site, None)
    assert states(client, site) == ("Provisioned", "Enabled")


def upgrade(client, site, body):
    return client.network_fabrics.begin_upgrade(site.group, site.fabric, body).result()


def test_an_upgrade_blocks_rotation_while_it_runs_and_when_it_has_failed(client, site):
    upgrade(client, site, {"action": "Start", "version": "2.0.0"})
    assert states(client, site)[1] == "UnderMaintenance"
    refused("UpgradeInProgress", rotate, client, site)
    refused("UpgradeInProgress", resync, client, site)
    upgrade(client, site, {"action": "Fail"})
    refused("UpgradeFailed", rotate, client, site)
    upgrade(client, site, {"action": "Complete"})
    assert client.network_fabrics.get(site.group, site.fabric).properties.fabric_version == "2.0.0"
    refused("UpgradeNotInProgress", upgrade, client, site, {"action": "Complete"})


def test_a_device_that_was_upgraded_shows_its_version(client, site):
    begin = client.network_devices.begin_upgrade
    poller = client.network_fabrics.begin_rotate_passwords(site.group, site.fabric)
    refused("OperationInProgress", begin, site.group, "ce-01", {"version": "2.0.0"})
    assert poller.result().status == "Succeeded"
    upgrade(client, site, {"action": "Start", "version": "2.1.0"})
    assert begin(site.group, "ce-01", {"version": "2.1.0"}).result().status == "Succeeded"
    assert client.network_devices.get(site.group, "ce-01").properties.version == "2.1.0"
    upgrade(client, site, {"action": "Complete"})


def test_an_upgrade_is_refused_while_devices_use_several_sets(client, site):
    site.fault("tor-01", "refuse-connection")
    with pytest.raises(HttpResponseError):
        rotate(client, site)
    error = refused("PasswordSetsDiffer", upgrade, client, site, {"action": "Start", "version": "3"})
    assert "tor-01" in error.message
    site.heal("tor-01")
    resync(client, site)
    upgrade(client, site, {"action": "Start", "version": "3.0.0"})
    upgrade(client, site, {"action": "Complete"})


def test_what_changes_devices_is_refused_while_a_rotation_runs(client, site):
    poller = client.network_fabrics.begin_rotate_passwords(site.group, site.fabric)
    for state in ("Disable", "RMA"):
        refused("OperationInProgress", set_state, client, site, "ce-01", state)
    refused("OperationInProgress", commit, client, site, None)
    refused("OperationInProgress", upgrade, client, site, {"action": "Start", "version": "4"})
    assert poller.result().status == "Succeeded"


def test_a_configuration_lock_is_shown_and_keeps_no_password_from_being_rotated(client, site):
    for action, state in (("Lock", "Enabled"), ("Unlock", "Disabled")):
        body = {"lockType": "Configuration", "action": action}
        client.network_fabrics.begin_lock_fabric(site.group, site.fabric, body).result()
        assert lock_states(client, site) == {"Administrative": "Disabled", "Configuration": state}


def set_serial(client, site, device, serial):
    body = {"properties": {"serialNumber": serial}}
    return client.network_devices.begin_update(site.group, device, body).result()


def test_a_device_is_replaced_step_by_step(fresh):
    client = fresh.client()
    assert rotate(client, fresh).status == "Succeeded"
    set_state(client, fresh, "ce-02", "Disable")
    device = set_serial(client, fresh, "ce-02", "Arista;DCS-7280;12.05;JPE9999")
    assert device.properties.serial_number == "Arista;DCS-7280;12.05;JPE9999"
    set_state(client, fresh, "ce-02", "RMA")
    device = by_name(client, fresh)["ce-02"]
    assert text(device.properties.administrative_state) == "RMA"
    assert states(client, fresh)[1] == "EnabledDegraded"
    refused("DeviceInRma", client.network_devices.begin_resync_passwords, fresh.group, "ce-02")
    said = fresh.run("keyturn-lab", "replace", "--dir", fresh.lab_dir, "ce-02")
    assert said.returncode == 0, said.stderr
    # The operator approves the new device by its host key and the passwords that it came with.
    fresh.keyturn("fabric", "apply", "-f", fresh.lab_dir / "fabric.toml")
    set_state(client, fresh, "ce-02", "Enable")
    device = by_name(client, fresh)["ce-02"]
    assert text(device.properties.administrative_state) == "Enabled"
    assert statuses(device) == {"InSync"}
    assert sets_in_use(client, fresh) == 1
    assert states(client, fresh)[1] == "Enabled"
    assert fresh.reveal("ce-02")["value"] == fresh.reveal("ce-01")["value"]
    assert fresh.opens("ce-02", "admin", fresh.reveal("ce-02")["value"]) == "running=yes startup=yes"


def reboot(client, site, device, kind):
    body = {"rebootType": kind}
    return client.network_devices.begin_reboot(site.group, device, body).result()


def test_a_rebooted_device_is_in_sync_when_it_is_back(fresh):
    client = fresh.client()
    assert rotate(client, fresh).status == "Succeeded"
    kinds = ["GracefulRebootWithoutZTP", "UngracefulRebootWithoutZTP"]
    for at, device in enumerate(sorted(by_name(client, fresh))):
        assert reboot(client, fresh, device, kinds[at % 2]).status == "Succeeded"
        assert statuses(by_name(client, fresh)[device]) == {"InSync"}
    fresh.keyturn("device", "reboot", "ce-01", "--reboot-type", kinds[0])
    assert sets_in_use(client, fresh) == 1
    assert fresh.opens("ce-01", "admin", fresh.reveal("ce-01")["value"]) == "running=yes startup=yes"


def test_a_device_that_is_wiped_comes_back_by_the_replacement_flow(fresh):
    client = fresh.client()
    assert rotate(client, fresh).status == "Succeeded"
    refused("DeviceInService", reboot, client, fresh, "ce-02", "GracefulRebootWithZTP")
    set_state(client, fresh, "ce-02", "Disable")
    refused("DeviceDisabled", reboot, client, fresh, "ce-02", "GracefulRebootWithoutZTP")
    assert reboot(client, fresh, "ce-02", "GracefulRebootWithZTP").status == "Succeeded"
    factory = fresh.factory_passwords["admin"]
    assert fresh.opens("ce-02", "admin", factory) == "running=yes startup=yes"
    set_state(client, fresh, "ce-02", "RMA")
    # It is up again when the operator says what it has now.
    time.sleep(3)
    fresh.keyturn("fabric", "apply", "-f", fresh.lab_dir / "fabric.toml")
    set_state(client, fresh, "ce-02", "Enable")
    assert statuses(by_name(client, fresh)["ce-02"]) == {"InSync"}
    assert sets_in_use(client, fresh) == 1
    assert fresh.reveal("ce-02")["value"] == fresh.reveal("ce-01")["value"]
    assert fresh.opens("ce-02", "admin", fresh.reveal("ce-02")["value"]) == "running=yes startup=yes"


def test_tags_and_descriptions_are_kept_and_read_only_fields_are_ignored(client, site):
    body = {
        "tags": {"owner": "core"},
        "properties": {"annotation": "rack 7", "administrativeState": "Disabled"},
    }
    fabric = client.network_fabrics.begin_update(site.group, site.fabric, body).result()
    assert (fabric.tags, fabric.properties.annotation) == ({"owner": "core"}, "rack 7")
    assert states(client, site)[1] == "Enabled"
    device = client.network_devices.begin_update(site.group, "ce-01", {"tags": {"a": "b"}}).result()
    assert device.tags == {"a": "b"}
    # What was read can be written back.
    raw = client.network_devices.get(site.group, "ce-01")
    again = client.network_devices.begin_create(site.group, "ce-01", raw).result()
    assert again.tags == {"a": "b"}
    with pytest.raises(HttpResponseError) as caught:
        client.network_fabrics.begin_update(
            site.group, site.fabric, {"properties": {"featureFlags": []}}
        )
    assert caught.value.error.target == "featureFlags"


def test_a_deleted_fabric_is_gone_and_its_name_is_free(fresh):
    client = fresh.client()
    value = fresh.reveal("ce-01")["value"]
    with pytest.raises(ResourceExistsError) as caught:
        client.network_fabrics.begin_delete(fresh.group, fresh.fabric)
    assert caught.value.error.code == "FabricNotEmpty"
    for device in list(by_name(client, fresh)):
        refused("DeviceInService", client.network_devices.begin_delete, fresh.group, device)
        set_state(client, fresh, device, "Disable")
        client.network_devices.begin_delete(fresh.group, device).result()
    client.network_fabrics.begin_delete(fresh.group, fresh.fabric).result()
    assert list(client.network_fabrics.list_by_subscription()) == []
    client.network_fabrics.begin_delete(fresh.group, fresh.fabric).result()
    # The devices are as they were, and what opens them is kept.
    assert fresh.opens("ce-01", "admin", value) == "running=yes startup=yes"
    with pytest.raises(ResourceNotFoundError):
        client.network_fabrics.get(fresh.group, fresh.fabric)
    kept = fresh.keyturn(
        "secret", "show", "--device", "ce-01", "--user", "admin", "--deleted-from", fresh.fabric
    )
    assert json.loads(kept)["value"] == value
    # Told their passwords, a new fabric adopts them.
    fresh.keyturn("fabric", "apply", "-f", fresh.lab_dir / "fabric.toml")
    assert rotate(client, fresh).status == "Succeeded"
    # What the old one left goes by force, and takes nothing of the new one along.
    value = fresh.reveal("ce-01")["value"]
    fresh.keyturn("fabric", "purge", fresh.fabric, "--force")
    assert json.loads(fresh.keyturn("fabric", "list", "--deleted")) == []
    assert fresh.reveal("ce-01")["value"] == value
    assert fresh.opens("ce-01", "admin", value) == "running=yes startup=yes"
