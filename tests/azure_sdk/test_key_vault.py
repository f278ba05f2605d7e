"""The official client of Key Vault's secrets, unmodified, before Keyturn's vault."""

import datetime

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError, HttpResponseError, ResourceExistsError, ResourceNotFoundError,
)
from azure.keyvault.secrets import KeyVaultSecretIdentifier

UTC = datetime.timezone.utc


@pytest.fixture(scope="module")
def vault(site):
    return site.vault()


def test_a_secret_is_set_got_updated_and_listed(vault):
    begins = datetime.datetime(2030, 1, 1, tzinfo=UTC)
    ends = datetime.datetime(2031, 1, 1, tzinfo=UTC)
    made = vault.set_secret(
        "Web-basics", "gr\u00fc\u00dfe\n", content_type="text/plain", tags={"team": "a"},
        not_before=begins, expires_on=ends,
    )
    assert len(made.properties.version) == 32
    got = vault.get_secret("web-BASICS")
    assert (got.value, got.id) == ("gr\u00fc\u00dfe\n", made.id)
    assert (got.properties.not_before, got.properties.expires_on) == (begins, ends)
    assert got.properties.content_type == "text/plain"
    assert got.properties.recovery_level == "Recoverable+Purgeable"
    assert got.properties.recoverable_days == 90
    second = vault.set_secret("web-basics", "2")
    assert vault.get_secret("web-basics").value == "2"
    assert vault.get_secret("web-basics", made.properties.version).value == "gr\u00fc\u00dfe\n"
    vault.update_secret_properties("web-basics", second.properties.version, enabled=False)
    with pytest.raises(HttpResponseError) as refused:
        vault.get_secret("web-basics")
    assert (refused.value.status_code, refused.value.error.code) == (403, "Forbidden")
    vault.update_secret_properties("web-basics", second.properties.version, enabled=True)
    versions = list(vault.list_properties_of_secret_versions("web-basics"))
    assert {one.version for one in versions} == {made.properties.version, second.properties.version}
    assert "web-basics" in [one.name for one in vault.list_properties_of_secrets()]


def test_lists_are_read_to_their_end(vault):
    wanted = {f"page-{at:02}" for at in range(60)}
    for name in wanted:
        vault.set_secret(name, "1")
    for options in [{}, {"max_page_size": 7}]:
        listed = [one.name for one in vault.list_properties_of_secrets(**options)]
        assert wanted <= set(listed) and len(listed) == len(set(listed))


def test_a_secret_is_deleted_recovered_purged_and_its_backup_restored(vault):
    vault.set_secret("web-life", "1")
    backup = vault.backup_secret("web-life")
    deleted = vault.begin_delete_secret("web-life").result()
    assert deleted.recovery_id and deleted.scheduled_purge_date > deleted.deleted_date
    with pytest.raises(ResourceNotFoundError):
        vault.get_secret("web-life")
    with pytest.raises(ResourceExistsError) as taken:
        vault.set_secret("web-life", "2")
    assert "deleted but recoverable" in taken.value.message
    assert "web-life" in [one.name for one in vault.list_deleted_secrets()]
    assert vault.begin_recover_deleted_secret("web-life").result().name == "web-life"
    assert vault.get_secret("web-life").value == "1"
    with pytest.raises(ResourceExistsError):
        vault.restore_secret_backup(backup)
    vault.begin_delete_secret("web-life").wait()
    vault.purge_deleted_secret("web-life")
    with pytest.raises(ResourceNotFoundError):
        vault.get_deleted_secret("web-life")
    vault.restore_secret_backup(backup)
    assert vault.get_secret("web-life").value == "1"


def test_consumers_get_and_list_and_do_nothing_else(site, vault):
    vault.set_secret("own-1", "1")
    vault.set_secret("others-1", "1")
    token = site.local_token("--role", "vault-secrets-user", "--secret-prefix", "own-")
    consumer = site.vault(token)
    assert consumer.get_secret("own-1").value == "1"
    assert [one.name for one in consumer.list_properties_of_secrets()] == ["own-1"]
    attempts = [
        lambda: consumer.get_secret("others-1"),
        lambda: consumer.set_secret("own-1", "2"),
        lambda: consumer.begin_delete_secret("own-1"),
        lambda: consumer.update_secret_properties("own-1", tags={}),
    ]
    for attempt in attempts:
        with pytest.raises(HttpResponseError) as refused:
            attempt()
        assert refused.value.status_code == 403, refused.value
    with pytest.raises(ClientAuthenticationError):
        site.vault("wrong").get_secret("own-1")


def test_the_archive_reference_of_a_device_opens_as_it_stands(fresh):
    vault = fresh.vault()
    fresh.fault("ce-02", "refuse-login")
    fresh.run("keyturn", "fabric", "rotate-password", "--data-dir", fresh.data_dir)
    for device in ["ce-01", "ce-02"]:
        shown = fresh.reveal(device)
        reference = shown["secretArchiveReference"]
        named = KeyVaultSecretIdentifier(reference["keyVaultUri"])
        got = vault.get_secret(named.name, named.version)
        assert got.value == shown["value"], device
        assert fresh.opens(device, "admin", got.value) == "running=yes startup=yes"
        assert device in got.properties.tags["keyturn-opens"].split(",")
    newest = KeyVaultSecretIdentifier(fresh.reveal("ce-01")["secretArchiveReference"]["keyVaultUri"])
    for version in vault.list_properties_of_secret_versions(newest.name):
        opens = version.tags["keyturn-opens"].split(",")
        assert ("ce-01" in opens) == (version.version == newest.version), opens
    with pytest.raises(ResourceExistsError) as kept:
        vault.begin_delete_secret(newest.name)
    assert "ce-01" in kept.value.message and "ce-02" in kept.value.message
    with pytest.raises(HttpResponseError) as refused:
        vault.set_secret(newest.name, "mine")
    assert refused.value.status_code == 403


def test_who_asks_too_often_is_slowed_down_and_served(vault):
    # The client waits as it is told, and comes again.
    for at in range(320):
        vault.set_secret("web-often", str(at))
    assert vault.get_secret("web-often").value == "319"
