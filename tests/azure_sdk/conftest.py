"""An installation of Keyturn before a simulated fabric, and the official client pointed at it."""

import json
import sys
import time

sys.dont_write_bytecode = True

import pytest
from azure.core.credentials import AccessToken
from azure.keyvault.secrets import SecretClient
from azure.mgmt.managednetworkfabric import ManagedNetworkFabricMgmtClient

import installation

ARM_SCOPE = "https://management.azure.com/.default"


class Token:
    """A credential of the client's that always has the same token."""

    def __init__(self, text):
        self.text = text

    def get_token(self, *_scopes, **_options):
        return AccessToken(self.text, int(time.time()) + 3600)


class Site(installation.Site):
    """An installation, and the official client for it."""

    def client(self, token=None, **options):
        """Returns the official client; nothing of it is replaced."""
        return ManagedNetworkFabricMgmtClient(
            Token(token or self.token), self.subscription, base_url=self.url,
            credential_scopes=[ARM_SCOPE], polling_interval=1, connection_verify=self.ca, **options,
        )

    def vault(self, token=None, **options):
        """Returns the official client of the vault that the archive references point to."""
        uri = self.reveal("ce-01")["secretArchiveReference"]["keyVaultUri"]
        url = uri.split("/secrets/")[0]
        # `localhost` is under no domain that a challenge could name.
        return SecretClient(
            url, Token(token or self.token), connection_verify=self.ca,
            verify_challenge_resource=False, **options,
        )

    def local_token(self, *arguments):
        """Makes a local token and returns its text."""
        return json.loads(self.keyturn("token", "create", *arguments, "-o", "json"))["token"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"), devices=8)
    yield site
    site.end()


@pytest.fixture
def fresh(tmp_path):
    """An installation of this test's own, for what leaves traces."""
    site = Site(tmp_path, devices=6)
    yield site
    site.end()


@pytest.fixture
def blank(tmp_path):
    """An installation that knows of no fabric yet."""
    site = Site(tmp_path, devices=4, apply=False)
    yield site
    site.end()


@pytest.fixture(autouse=True)
def healthy(request):
    """A test that fails half-way leaves no broken device to those behind it."""
    yield
    if "site" in request.fixturenames:
        request.getfixturevalue("site").mend()


@pytest.fixture(scope="module")
def client(site):
    return site.client()
