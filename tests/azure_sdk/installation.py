"""An installation of Keyturn before a simulated fabric: the built programs, run as a user does."""

import json
import os
import pathlib
import subprocess
import tomllib

PROGRAMS = pathlib.Path(os.environ.get("KEYTURN_PROGRAMS", "target/debug")).resolve()

# A device is looked at again right after something went wrong, and one wave takes them all.
CONFIG = """
[rotation]
quiet-time = "1s"
retry-backoff = "100ms"

[edge.key-vault]
listen = "127.0.0.1:0"
"""


class Process:
    """A program that runs until it is ended; says `ready` when it serves."""

    def __init__(self, log, *arguments, env=None):
        self.log = open(log, "wb")
        self.process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=self.log, env=env, text=True
        )
        line = self.process.stdout.readline()
        if not line.startswith("ready"):
            self.end()
            raise AssertionError(f"{arguments}: {line!r}\n{pathlib.Path(log).read_text()}")
        self.ready = line.split()[1:]

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


class Site:
    """A lab of simulated devices, a daemon, and what a user does with them."""

    def __init__(self, path, devices, apply=True):
        self.path = path
        self.lab_dir = path / "lab"
        self.data_dir = path / "data"
        (path / "config.toml").write_text(CONFIG)
        self.lab = Process(
            path / "lab.log", PROGRAMS / "keyturn-lab", "up",
            "--dir", self.lab_dir, "--devices", str(devices),
        )
        self.daemon = None
        self.broken = set()
        self.serve()
        if apply:
            self.keyturn("fabric", "apply", "-f", self.lab_dir / "fabric.toml")

    def serve(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KEYTURN_")}
        self.daemon = Process(
            self.path / "daemon.log", PROGRAMS / "keyturn", "serve", "--listen", "127.0.0.1:0",
            "--config", self.path / "config.toml", "--data-dir", self.data_dir, env=environment,
        )
        self.url = self.daemon.ready[0]
        self.ca = str(self.data_dir / "ca.pem")
        self.token = (self.data_dir / "admin.token").read_text().strip()

    def restart(self):
        self.daemon.end()
        self.serve()

    def end(self):
        self.daemon.end()
        self.lab.end()

    def run(self, program, *arguments):
        return subprocess.run(
            [PROGRAMS / program, *arguments], capture_output=True, text=True, timeout=120
        )

    def keyturn(self, *arguments):
        """Runs a command that must succeed and returns what it printed."""
        said = self.run("keyturn", *arguments, "--data-dir", self.data_dir)
        assert said.returncode == 0, f"{arguments}: {said.stderr}"
        return said.stdout

    def fault(self, device, kind, *options):
        said = self.run("keyturn-lab", "fault", "--dir", self.lab_dir, device, kind, *options)
        assert said.returncode == 0, said.stderr
        self.broken.add(device)

    def heal(self, *devices):
        for device in devices:
            self.broken.discard(device)
            said = self.run("keyturn-lab", "heal", "--dir", self.lab_dir, device)
            assert said.returncode == 0, said.stderr

    def mend(self):
        """Ends the faults that are left, and brings everything into sync again."""
        if self.broken:
            self.heal(*sorted(self.broken))
            self.keyturn("fabric", "resync-password")

    @property
    def inventory(self):
        return tomllib.loads((self.lab_dir / "fabric.toml").read_text())

    @property
    def factory_passwords(self):
        return tomllib.loads((self.lab_dir / "passwords.toml").read_text())["profiles"]

    def declaration(self, name):
        """What the inventory says of a device, as the body of a PUT."""
        device = next(device for device in self.inventory["devices"] if device["name"] == name)
        ssh = {"hostKey": device["ssh"]["host-key"], "port": device["ssh"]["port"]}
        server = device["role"] == "TS"
        profiles = {
            profile: password for profile, password in self.factory_passwords.items()
            if (profile == "TerminalServer") == server
        }
        extension = {"platform": device["platform"], "ssh": ssh, "currentPasswords": profiles}
        if "console" in device:
            console = device["console"]
            extension["console"] = {
                "terminalServer": console["terminal-server"], "port": console["port"],
            }
        return {
            "location": "local",
            "properties": {
                "serialNumber": device["serial-number"],
                "networkFabricId": self.inventory_id,
                "networkDeviceRole": device["role"],
                "managementIpv4Address": device["ssh"]["address"],
                "keyturn": extension,
            },
        }

    @property
    def inventory_id(self):
        return self.inventory["fabric"]["id"]

    @property
    def subscription(self):
        return self.inventory_id.split("/")[2]

    @property
    def group(self):
        return self.inventory_id.split("/")[4]

    @property
    def fabric(self):
        return self.inventory_id.split("/")[8]

    def provider_path(self, rest, group=True):
        scope = f"/resourceGroups/{self.group}" if group else ""
        provider = "/providers/Microsoft.ManagedNetworkFabric"
        return f"/subscriptions/{self.subscription}{scope}{provider}/{rest}"

    def reveal(self, device, user="admin"):
        said = self.keyturn("secret", "show", "--device", device, "--user", user, "-o", "json")
        return json.loads(said)

    def opens(self, device, user, password):
        """Asks the lab's own truth whether a password opens a device: running and startup."""
        said = subprocess.run(
            [PROGRAMS / "keyturn-lab", "check", "--dir", self.lab_dir, device, user],
            input=password + "\n", capture_output=True, text=True, timeout=60,
        )
        assert said.returncode in (0, 1), said.stderr
        return said.stdout.strip()
