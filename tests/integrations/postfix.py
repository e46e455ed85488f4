"""Debian's real Postfix and OpenDKIM, each as many as wanted, in a folder of their own and on free ports."""

import os
import pwd
import re
import shutil
import subprocess

from processes import free_port

MASTER = """
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
smtp unix - - n - - smtp
linkrouter unix - - n - 10 smtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
proxymap unix - - n - - proxymap
flush unix n - n 1000? 0 flush
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
"""


def missing():
    """Say what keeps a lab from running here, if anything does."""
    if not shutil.which("postfix", path="/usr/sbin:/usr/bin") or not shutil.which(
        "opendkim", path="/usr/sbin:/usr/bin"
    ):
        return "postfix and opendkim are not installed"
    return "Postfix needs root" if os.geteuid() else None


class Postfix:
    """One instance: takes mail at `port`, and hands it to *relayhost*, through *content_filter* where there is one.

    *more* are settings of `main.cf`.
    """

    def __init__(self, folder, relayhost, *, content_filter="", milter="", **more):
        self.folder, self.port = folder, free_port()
        for name in ("queue", "data", "conf"):
            (folder / name).mkdir(parents=True)
            (folder / name).chmod(0o755)
        os.chown(folder / "data", pwd.getpwnam("postfix").pw_uid, -1)
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": folder / "queue",
            "data_directory": folder / "data",
            "daemon_directory": "/usr/lib/postfix/sbin",
            "command_directory": "/usr/sbin",
            "maillog_file": folder / "data" / "log",
            "maillog_file_prefixes": folder,
            "myhostname": "mail.example.com",
            "mydestination": "",
            "alias_maps": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "relayhost": relayhost,
            "smtpd_recipient_restrictions": "permit_mynetworks, reject",
            "smtpd_peername_lookup": "no",
            "smtp_dns_support_level": "disabled",
            "smtp_host_lookup": "native",
            "smtp_tls_security_level": "none",
            "content_filter": content_filter,
            "linkrouter_destination_recipient_limit": "1",
            "smtpd_milters": milter,
            "milter_default_action": "tempfail",
            "minimal_backoff_time": "1s",
            "maximal_backoff_time": "2s",
            "queue_run_delay": "1s",
            "transport_retry_time": "1s",
            "default_process_limit": "20",
            **more,
        }
        (folder / "conf" / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        smtpd = f"127.0.0.1:{self.port} inet n - n - - smtpd\n"
        (folder / "conf" / "master.cf").write_text(smtpd + MASTER)

    def _run(self, command, *, check=True):
        log = self.folder / "data" / "command"
        with open(log, "ab") as out:  # children keep the file, so a pipe would never end
            done = subprocess.run(["postfix", "-c", self.folder / "conf", command], stdout=out, stderr=out, timeout=60)
        assert not check or done.returncode == 0, log.read_text()

    def start(self):
        self._run("start")

    def kill(self):
        """End all of it at once, whatever it is doing."""
        self._run("abort", check=False)

    def log(self):
        return (self.folder / "data" / "log").read_text()


class Dkim:
    """OpenDKIM as a milter that signs for example.com, and as one who verifies."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder, self.port = folder, free_port()
        subprocess.run(["opendkim-genkey", "-D", folder, "-d", "example.com", "-s", "test"], check=True)
        record = "".join(part for part in (folder / "test.txt").read_text().split('"')[1::2])
        (folder / "keys").write_text(f"test._domainkey.example.com {record}\n")
        common = f"Syslog no\nTestPublicKeys {folder}/keys\n"
        (folder / "sign.conf").write_text(
            f"{common}Mode s\nDomain example.com\nSelector test\nKeyFile {folder}/test.private\n"
            f"Socket inet:{self.port}@127.0.0.1\nCanonicalization relaxed/simple\nBackground no\nRequireSafeKeys no\n"
        )
        (folder / "verify.conf").write_text(f"{common}Mode v\n")
        with open(folder / "log", "wb") as log:
            self.process = subprocess.Popen(["opendkim", "-f", "-x", folder / "sign.conf"], stdout=log, stderr=log)

    def verified(self, contents):
        """Give how many of these mails have a signature that OpenDKIM finds good."""
        paths = [self.folder / f"{number}.eml" for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        verify = ["opendkim", "-x", self.folder / "verify.conf", "-t", ",".join(map(str, paths))]
        said = subprocess.run(verify, capture_output=True).stdout
        return len(re.findall(rb"verification \(s=test, d=example.com, 2048-bit key[^)]*\) succeeded", said))

    def end(self):
        self.process.terminate()
        self.process.wait(10)
