"""Lists, single reads and errors, as the client sees them."""

import json
import time

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

from conftest import Site
from test_rotation import text


def test_resources_are_listed_by_group_and_by_subscription(client, site):
    fabrics = client.network_fabrics
    for listed in (fabrics.list_by_resource_group(site.group), fabrics.list_by_subscription()):
        assert [fabric.name for fabric in listed] == [site.fabric]
    devices = list(client.network_devices.list_by_subscription())
    assert len(devices) == 8
    assert all(d.properties.network_fabric_id == site.inventory_id for d in devices)
    assert {text(d.properties.network_device_role) for d in devices} >= {"CE", "TS", "ToR"}
    assert [d.name for d in client.network_devices.list_by_resource_group("other")] == []


def test_names_compare_without_case_and_keep_theirs(client, site):
    fabric = client.network_fabrics.get(site.group.upper(), site.fabric.upper())
    assert fabric.name == site.fabric and fabric.id == site.inventory_id


def test_what_is_not_there_is_not_found(client, site):
    with pytest.raises(ResourceNotFoundError) as caught:
        client.network_fabrics.get(site.group, "nobody")
    assert caught.value.error.code == "ResourceNotFound"
    with pytest.raises(ResourceNotFoundError):
        client.network_devices.begin_resync_passwords(site.group, "nobody")


def test_a_wrong_token_is_an_authentication_error(site):
    with pytest.raises(ClientAuthenticationError) as caught:
        site.client(token="wrong").network_fabrics.get(site.group, site.fabric)
    assert caught.value.error.code == "AuthenticationFailed"


@pytest.mark.parametrize(
    ("query", "code"),
    [("", "MissingApiVersionParameter"), ("?api-version=2020-01-01", "InvalidApiVersionParameter")],
)
def test_an_unknown_version_is_refused_by_name(site, query, code):
    path = site.provider_path(f"networkFabrics/{site.fabric}")
    headers = {"Authorization": f"Bearer {site.token}"}
    answer = requests.get(site.url + path + query, headers=headers, verify=site.ca)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_a_wrong_body_is_a_client_error_and_changes_nothing(client, site):
    with pytest.raises(HttpResponseError) as caught:
        client.network_devices.begin_update_administrative_state(
            site.group, "ce-01", {"state": "Vanish"}
        )
    assert caught.value.status_code == 400
    device = client.network_devices.get(site.group, "ce-01")
    assert device.properties.administrative_state == "Enabled"


def test_no_answer_holds_a_password(site):
    value = site.reveal("ce-01")["value"]
    headers = {"Authorization": f"Bearer {site.token}"}
    for kind in ("networkFabrics", "networkDevices"):
        url = f"{site.url}{site.provider_path(kind)}?api-version=2025-07-15"
        answer = requests.get(url, headers=headers, verify=site.ca)
        assert answer.status_code == 200 and value not in answer.text


def test_long_lists_come_in_pages(tmp_path):
    site = Site(tmp_path, devices=104)
    try:
        client = site.client()
        pages = list(client.network_devices.list_by_resource_group(site.group).by_page())
        sizes = [len(list(page)) for page in pages]
        assert len(sizes) == 2 and sum(sizes) == 104
        names = [device.name for device in client.network_devices.list_by_subscription()]
        assert len(set(names)) == 104
    finally:
        site.end()


def test_the_directory_says_what_there_is(site):
    def get(path, **options):
        answer = requests.get(f"{site.url}{path}", verify=site.ca, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    headers = {"Authorization": f"Bearer {site.token}"}
    subscriptions = get("/subscriptions?api-version=2022-12-01", headers=headers)["value"]
    assert [entry["subscriptionId"] for entry in subscriptions] == [site.subscription]
    one = get(f"/subscriptions/{site.subscription}?api-version=2022-12-01", headers=headers)
    assert one == subscriptions[0]
    tenants = get("/tenants?api-version=2022-12-01", headers=headers)["value"]
    assert tenants[0]["tenantId"] == one["tenantId"]
    operations = get(
        "/providers/Microsoft.ManagedNetworkFabric/operations?api-version=2025-07-15",
        headers=headers,
    )["value"]
    rotate = "Microsoft.ManagedNetworkFabric/networkFabrics/rotatePasswords/action"
    assert rotate in [operation["name"] for operation in operations]
    endpoints = get("/metadata/endpoints?api-version=2022-09-01")
    assert endpoints[0]["resourceManager"] == site.url
    assert requests.get(f"{site.url}/subscriptions", verify=site.ca).status_code == 401


def token(site, *arguments):
    return json.loads(site.keyturn("token", "create", *arguments, "-o", "json"))


def test_each_role_may_do_what_it_is_for(site):
    reader = site.client(token=token(site, "--role", "reader")["token"])
    assert reader.network_fabrics.get(site.group, site.fabric).name == site.fabric
    with pytest.raises(HttpResponseError) as caught:
        reader.network_fabrics.begin_resync_passwords(site.group, site.fabric)
    assert (caught.value.status_code, caught.value.error.code) == (403, "AuthorizationFailed")
    assert "networkFabrics/resyncPasswords/action" in caught.value.error.message
    operator = token(site, "--role", "operator", "--fabric", site.inventory_id, "--name", "ci")
    result = site.client(token=operator["token"]).network_fabrics.begin_resync_passwords(
        site.group, site.fabric
    ).result()
    assert result.status == "Succeeded"
    file = site.path / "operator.token"
    file.write_text(operator["token"])
    reveal = ["secret", "show", "--device", "ce-01", "--user", "admin", "--token-file", file]
    said = site.run("keyturn", *reveal, "--data-dir", site.data_dir)
    assert said.returncode == 1 and "does not have authorization" in said.stderr
    file.write_text(token(site, "--role", "secret-reader")["token"])
    assert site.run("keyturn", *reveal, "--data-dir", site.data_dir).returncode == 0


def test_a_token_that_was_revoked_or_has_expired_opens_nothing(site):
    made = token(site, "--role", "reader")
    site.keyturn("token", "revoke", made["id"])
    short = token(site, "--role", "reader", "--expires", "1s")
    time.sleep(1.1)
    for gone in (made, short):
        with pytest.raises(ClientAuthenticationError) as caught:
            site.client(token=gone["token"]).network_fabrics.get(site.group, site.fabric)
        assert caught.value.error.code == "AuthenticationFailed"


def test_a_token_outlives_the_daemon(site):
    made = token(site, "--role", "reader")
    site.restart()
    assert site.client(token=made["token"]).network_fabrics.get(site.group, site.fabric)
    assert made["id"] in site.keyturn("token", "list")
