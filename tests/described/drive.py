"""Starts a lab and a daemon, and has Schemathesis drive the daemon by its own description."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "azure_sdk"))

import installation

# Each may make 20 changes in a second: so many callers are not slowed down by that. They are not
# of one fabric, and see everything but passwords.
CALLERS = 24

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "ignored_auth",
    "unsupported_method",
    "allow_header_conformance",
]


def names(site):
    """What there is, for parameters that random values would never hit, and how often."""
    devices = [line for line in site.keyturn("device", "list", "-o", "json").splitlines()]
    devices = [device["name"] for device in json.loads("\n".join(devices))]
    waiting = json.loads(site.keyturn("device", "list", "--bootstrap", "-o", "json"))
    operations = json.loads(site.keyturn("operation", "list", "-o", "json"))
    fabric = site.inventory_id
    first = fabric.replace("networkFabrics/" + site.fabric, "networkDevices/" + devices[0])
    return {
        "path.subscriptionId": [site.subscription],
        "path.resourceGroupName": [site.group, site.group.upper()],
        "path.networkFabricName": [site.fabric],
        "path.networkDeviceName": devices,
        "path.networkBootstrapDeviceName": [device["name"] for device in waiting],
        "path.operationId": [operation["name"] for operation in operations],
        "query.device": devices,
        "query.request": ["resync"],
        "body.deviceId": [first],
        "body.user": ["admin", "TelcoRW1"],
        "body.fabricId": [fabric],
        "body.inventory": [(site.lab_dir / "fabric.toml").read_text()],
        "body.passwords": [(site.lab_dir / "passwords.toml").read_text()],
        "body.baseDir": [str(site.lab_dir)],
        "body.device": [gone(site)],
    }


def declare(site):
    """Declares the lab's fabric, with one device that waits for its first password set."""
    file = site.lab_dir / "fabric.toml"
    switches = [device["name"] for device in site.inventory["devices"] if device["role"] != "TS"]
    name = f'name = "{switches[-1]}"'
    file.write_text(file.read_text().replace(name, f"{name}\nbootstrap = true"))
    site.keyturn("fabric", "apply", "-f", file)


def gone(site):
    """The switch that is deleted, with the passwords that its hardware still has."""
    switches = [device["name"] for device in site.inventory["devices"] if device["role"] != "TS"]
    return switches[-2]


def lose(site):
    """Deletes a device."""
    site.keyturn("device", "update-admin-state", gone(site), "--state", "Disable")
    site.keyturn("device", "delete", gone(site))


def config(site):
    """Returns the configuration: where, whom, and with which names."""
    lines = [f'hooks = "{HERE / "hooks.py"}"', f'tls-verify = "{site.ca}"', "[cache]", "enabled = false"]
    known = names(site)
    for at, values in enumerate(known.values()):
        lines += [f"[dictionaries.d{at}]", f"values = {json.dumps(values)}"]
    lines.append("[parameters]")
    for at, name in enumerate(known):
        lines.append(f'"{name}" = {{ dictionary = "d{at}", probability = 0.8 }}')
    lines += [
        "[checks.negative_data_rejection]",
        # Who asks and how often is looked at before what is said, and so is what it is said of.
        'expected-statuses = ["400", "401", "404", "405", "409", "413", "429"]',
    ]
    return "\n".join(lines) + "\n"


def token(site, number):
    made = site.keyturn(
        "token", "create", "--role", "administrator", "--name", f"described-{number}", "-o", "json"
    )
    made = json.loads(made)
    return made["id"], made["token"]


def report(answers):
    """Prints how often which answer was given. Fails where no request came so far as to be done, or
    to be refused for what had been done before."""
    useless = []
    for operation, counted in sorted(answers.items()):
        print(" ".join(f"{status}:{count}" for status, count in sorted(counted.items())), operation)
        if not any(status.startswith("2") or status == "409" for status in counted):
            useless.append(operation)
    for operation in useless:
        print(f"described: no request of {operation} was of any use", file=sys.stderr)
    return 1 if useless else 0


def main(schemathesis, seconds="90", seed="2025"):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        site = installation.Site(folder, devices=5, apply=False)
        try:
            declare(site)
            lose(site)
            (folder / "schemathesis.toml").write_text(config(site))
            callers = dict(token(site, number) for number in range(CALLERS))
            environment = os.environ | {
                "KEYTURN_CALLERS": json.dumps(callers),
                "KEYTURN_ANSWERS": str(folder / "answers.json"),
                "KEYTURN_OWNER": site.token,
                "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
            }
            ran = subprocess.run(
                [
                    schemathesis, "--config-file", folder / "schemathesis.toml",
                    "run", f"{site.url}/openapi.json", "--seed", seed,
                    "--phases", "examples,coverage,fuzzing", "--max-time", seconds,
                    "--checks", ",".join(CHECKS), "--generation-database", "none",
                    "--continue-on-failure", "--no-color", "--warnings", "off",
                    "--request-timeout", "30",
                ],
                env=environment,
            )
            site.keyturn("fabric", "list")
            useless = report(json.loads((folder / "answers.json").read_text()))
            return ran.returncode or useless
        finally:
            site.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
