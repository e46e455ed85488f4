"""`linkrouter-deploy domain`: what its command line says, and what is printed.

Promise: data goes to standard output, and what is done to standard error.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from canary import read_canaries
from certificates import Certbot, judge_certificate
from domaincheck import check_domain
from domainfile import APP_FILES
from domainpush import accept_domain, push_domain
from domains import Domain, Region, add_domain, remove_domain
from haproxy_socket import Stopped
from machines import Remote
from telling import say

CHANGING = ("add", "remove", "push", "accept")


def add_domain_commands(parser: argparse.ArgumentParser) -> None:
    """Give *parser* the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="obtain a certificate and serve a tenant's links and app files on NAME")
    add.add_argument("--tenant", type=int, required=True, help="whose links it serves")
    for key in APP_FILES:
        add.add_argument(
            f"--{key.replace('_', '-')}", dest=key, type=Path, metavar="FILE", help="by which apps claim it"
        )
    add.add_argument(
        "--certificate", type=Path, metavar="PEM", help="certificate, issuers and key, instead of certbot's"
    )
    listed = actions.add_parser("list", help="the domains of this machine")
    check = actions.add_parser("check", help="what is wrong with NAME, and the cure; exit 1 when something is")
    remove = actions.add_parser("remove", help="serve NAME no more")
    push = actions.add_parser("push", help="have all machines serve NAME as this one does (add and remove do this)")
    actions.add_parser("accept", help="take the domain at standard input (push does this)")
    for named in (add, remove, push, check):
        named.add_argument("name", metavar="NAME", type=lambda name: name.lower().removesuffix("."))
    for read in (listed, check):
        read.add_argument("--json", action="store_true", help="one JSON object")


def run_domain_command(region: Region, certbot: Certbot, others: list[Remote], options: argparse.Namespace) -> int:
    """Do what *options* say, here and on the *others*, and give how many findings there are."""
    if options.action == "list":
        _print_domains(region, options.json)
        return 0
    if options.action == "check":
        return _print_findings(region, options)
    if options.action == "accept":
        print(json.dumps({"name": accept_domain(region, sys.stdin.buffer.read())}))
        return 0
    if options.action == "remove":
        remove_domain(region, options.name, lambda: certbot.forget(options.name))
        say(f"{options.name} is no own domain any more")
    if options.action == "add":
        _add(region, certbot, options)
    push_domain(region, others, options.name)
    return 0


def _add(region: Region, certbot: Certbot, options: argparse.Namespace) -> None:
    given, paths = options.certificate, {key: getattr(options, key) for key in APP_FILES}
    domain = Domain(options.name, options.tenant, {key: path.absolute() for key, path in paths.items() if path})
    common = {canary.host for canary in read_canaries(Path(options.canaries))}
    add_domain(region, domain, common, lambda: (given, given) if given else certbot.obtain(domain.name))
    say(f"{domain.name} serves the links of tenant {domain.tenant}; 'domain check {domain.name}' says what it lacks")


def _print_findings(region: Region, options: argparse.Namespace) -> int:
    findings = check_domain(region, options.name, read_canaries(Path(options.canaries))[0].host)
    if options.json:
        print(json.dumps({"name": options.name, "findings": [dataclasses.asdict(finding) for finding in findings]}))
    else:
        print("\n".join(finding.line() for finding in findings) or f"{options.name} is well")
    return len(findings)


def _print_domains(region: Region, as_json: bool) -> None:
    rows = []
    for name, entry in sorted(region.file.entries().items()):
        pem, row = region.certificate(name), {"name": name, **entry}
        try:
            row |= {"certificate_days": judge_certificate(pem, pem, name).days_left, "fault": None}
        except Stopped as exc:
            row |= {"certificate_days": None, "fault": str(exc)}
        rows.append(row)
    if as_json:
        print(json.dumps({"domains": rows}))
        return
    for row in rows:
        certificate = row["fault"] or f"certificate for {row['certificate_days']} days"
        print(f"{row['name']}  tenant {row['tenant']}  {certificate}")
