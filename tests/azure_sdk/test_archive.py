"""The customer's own vault, told by the official client. The model of 2025-07-15 has no words for it;
the client's calls take a dictionary all the same, and hand on what its model does not know."""

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.managednetworkfabric import models

VAULT = (
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/kv/providers/"
    "Microsoft.KeyVault/vaults/customer-1"
)
OFF = {"keyVaultId": VAULT, "useKeyVault": "False"}


def update(client, site, properties):
    body = {"properties": properties}
    return client.network_fabrics.begin_update(site.group, site.fabric, body).result()


def test_what_is_not_used_is_kept_shown_and_taken_away(fresh):
    client = fresh.client()
    shown = update(client, fresh, {"secretArchive": OFF})
    assert shown.as_dict()["properties"]["secretArchive"] == OFF
    fresh.restart()
    client = fresh.client()
    shown = client.network_fabrics.get(fresh.group, fresh.fabric)
    assert shown.as_dict()["properties"]["secretArchive"] == OFF
    # The client's own model says nothing of it, and takes nothing away.
    patch = models.NetworkFabricPatch(tags={"owner": "core"})
    shown = client.network_fabrics.begin_update(fresh.group, fresh.fabric, patch).result()
    assert (shown.tags, shown.as_dict()["properties"]["secretArchive"]) == ({"owner": "core"}, OFF)
    shown = update(client, fresh, {"secretArchive": None})
    assert "secretArchive" not in shown.as_dict()["properties"]


def test_a_vault_that_cannot_be_reached_is_refused_with_what_mends_it(fresh):
    client = fresh.client()
    settings = {
        "vaultUri": "https://localhost:9",
        "associatedIdentity": {"identityType": "SystemAssignedIdentity"},
    }
    with pytest.raises(HttpResponseError) as caught:
        update(client, fresh, {"secretArchiveSettings": settings})
    assert caught.value.status_code == 400
    assert "https://localhost:9" in caught.value.error.message
    assert "Key Vault Secrets Officer" in str(caught.value)
    shown = client.network_fabrics.get(fresh.group, fresh.fabric)
    assert "secretArchiveSettings" not in shown.as_dict()["properties"]


@pytest.mark.parametrize(
    ("properties", "target"),
    [
        ({"secretArchiveSettings": {"vaultUri": "kv"}}, "secretArchiveSettings.vaultUri"),
        ({"secretArchive": {"useKeyVault": "True"}}, "secretArchive.keyVaultId"),
        (
            {"secretArchiveSettings": {"associatedIdentity": {"identityType": "Mine"}}},
            "secretArchiveSettings.associatedIdentity.identityType",
        ),
    ],
)
def test_a_wrong_value_is_told_by_its_place(client, site, properties, target):
    with pytest.raises(HttpResponseError) as caught:
        update(client, site, properties)
    assert caught.value.error.target == f"properties.{target}"
