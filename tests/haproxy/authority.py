"""An ACME authority (RFC 8555) and the names of a world of its own: Let's Encrypt's pebble with its DNS server.

Everything runs in one network namespace: HAProxy has ports 80 and 443, the resolver is the world's, nothing gets out.
"""

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import urllib.request
from pathlib import Path

from haproxy.machine import HOST, Machine, make_certificate
from haproxy.networks import ip, run_inside, why_no_networks
from processes import HANG_S, wait_until

NAMES, ACME, PEBBLE = 8055, 14000, 15000  # the ports of the two programs' own interfaces
PROGRAMS = {"pebble": "pebble", "pebble-challtestsrv": "pebble", "certbot": "certbot"}


def why_no_authority():
    """Say why there can be none here; None when there can."""
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            return f"{program} is not installed; run: apt-get install {package}"
    return why_no_networks()


class World:
    """A machine that serves, an authority, and names that all lead to 127.0.0.1 unless they are told otherwise."""

    def __init__(self, home: Path) -> None:
        self.home, self.namespace = home, f"lracme{os.getpid() % 10000}"
        self._programs: list[subprocess.Popen] = []
        self._resolver = Path("/etc/netns") / self.namespace
        self.machine: Machine

    def make_network(self) -> None:
        ip("netns", "add", self.namespace)
        ip("-n", self.namespace, "link", "set", "lo", "up")
        self._resolver.mkdir(parents=True, exist_ok=True)
        (self._resolver / "resolv.conf").write_text("nameserver 127.0.0.1\n")

    def begin(self, make_machine) -> None:
        self._start_authority()
        self.machine = self.add_machine(make_machine, self.domains, ports={"http": 80, "https": 443})
        wait_until(lambda: self.get(f"https://localhost:{PEBBLE}/roots/0"))
        trusted = self.get(f"https://localhost:{PEBBLE}/roots/0") + (self.machine.home / f"{HOST}.crt").read_bytes()
        self.ca.write_bytes(trusted)

    def add_machine(self, make_machine, domains: Path, **more) -> Machine:
        """Start a machine of this world whose own domains stand in the file *domains*."""
        domains.write_text("# those of customers\n[domains]\n")
        options = {"LINKROUTER_DRAIN_MS": "0", "LINKROUTER_DOMAINS": str(domains)}
        machine = make_machine(namespace=self.namespace, router_options=options, **more)
        (machine.home / "router.env").write_text(f"LINKROUTER_DOMAINS={domains}\n")
        run_inside(self.namespace, machine.begin)
        return machine

    @property
    def ca(self) -> Path:
        """Who may have signed what is served here."""
        return self.home / "trusted.crt"

    @property
    def domains(self) -> Path:
        return self.home / "domains.toml"

    def end(self) -> None:
        for program in self._programs:
            program.terminate()
            program.wait(10)
        shutil.rmtree(self._resolver, ignore_errors=True)
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("netns", "delete", self.namespace)

    def deploy(self, *arguments: str, command=None) -> subprocess.CompletedProcess:
        """Run linkrouter-deploy as an operator of the machine."""
        return subprocess.run(
            ["ip", "netns", "exec", self.namespace, *(command or self.deploy_command(*arguments))],
            capture_output=True,
            text=True,
            timeout=120,
            env=self.environment,
        )

    def deploy_command(self, *arguments: str, machine: Machine | None = None) -> list[str]:
        options = {"--ca": self.ca, "--certbot": self.certbot, "--certbot-folder": self.home / "letsencrypt"}
        given = [text for pair in options.items() if pair[0] not in arguments for text in pair]
        return (machine or self.machine).deploy_command(*given, *arguments)

    @property
    def certbot(self) -> str:
        """certbot's command line with all that is this world's."""
        account = f"--server https://localhost:{ACME}/dir --agree-tos --register-unsafely-without-email"
        return f"certbot {account} --work-dir {self.home}/certbot --logs-dir {self.home}/certbot"

    def renew(self, name: str) -> subprocess.CompletedProcess:
        """Renew as certbot's timer does, before it is due."""
        return self.deploy(
            command=[
                *(*self.certbot.split(), "renew", "--config-dir", f"{self.home}/letsencrypt", "--cert-name", name),
                *("--force-renewal", "--no-random-sleep-on-renew", "--non-interactive"),
            ]
        )

    @property
    def environment(self) -> dict[str, str]:
        """What certbot needs to trust the authority's own interface."""
        return os.environ | {"REQUESTS_CA_BUNDLE": str(self.home / "localhost.crt")}

    def lead(self, name: str, *addresses: str) -> None:
        """Let *name* lead to *addresses*; to nowhere without."""
        body = {"host": f"{name}.", "addresses": addresses}
        self.get(f"http://127.0.0.1:{NAMES}/{'add-a' if addresses else 'clear-a'}", json.dumps(body).encode())
        if not addresses:
            self.get(f"http://127.0.0.1:{NAMES}/set-servfail", json.dumps({"host": f"{name}."}).encode())
        else:
            self.get(f"http://127.0.0.1:{NAMES}/clear-servfail", json.dumps({"host": f"{name}."}).encode())

    def get(self, url: str, body: bytes | None = None) -> bytes:
        context = ssl.create_default_context(cafile=self.home / "localhost.crt")

        def ask():
            with urllib.request.urlopen(url, body, timeout=HANG_S, context=context) as answer:
                return answer.read()

        return run_inside(self.namespace, ask)

    def _start_authority(self) -> None:
        make_certificate(self.home, "localhost")
        (self.home / "pebble.json").write_text(
            json.dumps(
                {
                    "pebble": {
                        "listenAddress": f"127.0.0.1:{ACME}",
                        "managementListenAddress": f"127.0.0.1:{PEBBLE}",
                        "certificate": str(self.home / "localhost.crt"),
                        "privateKey": str(self.home / "localhost.key"),
                        "httpPort": 80,
                        "tlsPort": 443,
                        "certificateValidityPeriod": 90 * 86400,
                    }
                }
            )
        )
        self._start(
            *("pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", "127.0.0.1:53"),
            *("-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{NAMES}"),
        )
        self._start("pebble", "-config", str(self.home / "pebble.json"), "-dnsserver", "127.0.0.1:53")

    def trust(self, certificate: Path) -> None:
        """Trust *certificate*, too."""
        self.ca.write_bytes(self.ca.read_bytes() + certificate.read_bytes())

    def _start(self, *command: str) -> None:
        with open(self.home / f"{command[0]}.log", "ab") as log:
            self._programs.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", self.namespace, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"},
                )
            )
