"""The alert rules, by `promtool test rules`: each state of a region raises its alerts in a minute, plans raise none.

A region is told as series of a sample each 15 s: all is well for five minutes, and then a few of them change. In life a
quarter of a minute passes until a change is scraped, so three quarters are left for the rules.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROMETHEUS = Path(__file__).parents[2] / "deploy" / "prometheus"
WELL = 20  # samples: five minutes
SERIES = 90

ROUTERS = [
    f'job="linkrouter-router",instance="{colour}-{number}",machine="ams-1",colour="{colour}"'
    for colour in ("blue", "green")
    for number in (1, 2)
]
BLUE_1, BLUE_2, GREEN_1, GREEN_2 = ROUTERS
HAPROXY = 'job="linkrouter-haproxy",instance="h",machine="ams-1"'
COLOUR = 'linkrouter_colour_active{{job="linkrouter-colour",instance="h",machine="ams-1",colour="{}"}}'
SERVERS = f'haproxy_backend_active_servers{{{{{HAPROXY},proxy="{{}}"}}}}'
CENTRAL = 'job="linkrouter-central",instance="c"'
RELAY = 'job="linkrouter-relay",instance="r"'
FRONT = 'job="linkrouter-front",instance="https://click.example.com/robots.txt"'
DAY = 86400
GONE = "_"


def of_router(router):
    """Give the series of a router that runs and is well."""
    return {
        f"up{{{router}}}": "1+0",
        f"process_start_time_seconds{{{router}}}": "1000+0",
        f"process_open_fds{{{router}}}": "100+0",
        f"process_max_fds{{{router}}}": "65536+0",
        f'linkrouter_key_info{{{router},key_id="1",state="sign"}}': "1+0",
        f'linkrouter_requests_total{{{router},outcome="redirect"}}': "0+100",
        f'linkrouter_requests_total{{{router},outcome="unknown_key"}}': "0+0",
        f'linkrouter_clicks_dropped_total{{{router},reason="store_full"}}': "0+0",
        f"linkrouter_queue_oldest_seconds{{{router}}}": "0.03+0",
        f"linkrouter_spool_room_bytes{{{router}}}": "4000000000+0",
        f"linkrouter_spool_dead_letters{{{router}}}": "0+0",
        f"linkrouter_spool_quarantined_segments{{{router}}}": "0+0",
        f"linkrouter_sync_failing_seconds{{{router}}}": "0+0",
        f'linkrouter_sync_batches_total{{{router},result="taken"}}': "0+10",
        f'linkrouter_sync_batches_total{{{router},result="denied"}}': "0+0",
        f"linkrouter_takebacks_age_seconds{{{router}}}": "10+0",
        f"linkrouter_takebacks_refused{{{router}}}": "0+0",
        **histogram("linkrouter_request_seconds", router, {"0.001": "0+100", "0.5": "0+100"}),
        **histogram("linkrouter_loop_lag_seconds", router, {"0.1": "0+60", "1.0": "0+60"}),
    }


def histogram(name, labels, buckets):
    """Give a histogram's buckets; the last one is all."""
    last = list(buckets.values())[-1]
    return {f'{name}_bucket{{{labels},le="{le}"}}': value for le, value in (buckets | {"+Inf": last}).items()}


def stopped(router):
    return {name: ("0+0" if name.startswith("up{") else GONE) for name in of_router(router)}


WORLD = {
    **of_router(BLUE_1),
    **of_router(BLUE_2),
    **stopped(GREEN_1),  # on purpose, as after each switch
    **stopped(GREEN_2),
    COLOUR.format("blue"): "1+0",
    COLOUR.format("green"): "0+0",
    f"up{{{HAPROXY}}}": "1+0",
    f'haproxy_frontend_http_responses_total{{{HAPROXY},proxy="https",code="5xx"}}': "0+0",
    SERVERS.format("blue"): "2+0",
    SERVERS.format("green"): "0+0",
    f"haproxy_process_current_connections{{{HAPROXY}}}": "100+0",
    f"haproxy_process_max_connections{{{HAPROXY}}}": "20000+0",
    f"probe_success{{{FRONT}}}": "1+0",
    f"probe_ssl_earliest_cert_expiry{{{FRONT}}}": f"{60 * DAY}+0",
    f"up{{{CENTRAL}}}": "1+0",
    f'linkrouter_central_errors_total{{{CENTRAL},status="503"}}': "0+0",
    f"linkrouter_central_journal_bytes{{{CENTRAL}}}": "40000000+0",
    f"linkrouter_central_disk_free_bytes{{{CENTRAL}}}": "40000000000+0",
    f"linkrouter_central_unlabelled_clicks{{{CENTRAL}}}": "100+0",
    f"linkrouter_webhook_behind_events{{{CENTRAL}}}": "0+0",
    **histogram(
        "linkrouter_central_request_seconds", CENTRAL + ',operation="addClicks"', {"1.0": "0+20", "5.0": "0+20"}
    ),
    f"up{{{RELAY}}}": "1+0",
    f"linkrouter_certificate_end_timestamp_seconds{{{RELAY}}}": f"{60 * DAY}+0",
    f'linkrouter_mails_not_sent_total{{{RELAY},reason="later"}}': "0+0",
    f'linkrouter_mails_held_total{{{RELAY},reason="unknown"}}': "0+0",
    f"linkrouter_reports_failing_seconds{{{RELAY}}}": "0+0",
}


def either(name, *routers):
    """Give the one series, or those of *routers*, that *name* begins."""
    found = [key for key in WORLD if key.startswith(name) and (not routers or any(r in key for r in routers))]
    assert found, name
    return found


def change(value, name, *routers):
    return dict.fromkeys(either(name, *routers), value)


STATES = {
    "one router killed, and started again between two scrapes": (
        change("2000+0", "process_start_time_seconds", BLUE_1),
        {"RouterRestarted"},
    ),
    "one router frozen": (stopped(BLUE_1), {"RouterDown"}),
    "both of a colour killed, and back in a second": (
        change("2000+0", "process_start_time_seconds", BLUE_1, BLUE_2) | change("300+0", "haproxy_frontend_http"),
        {"RouterRestarted", "FrontErrors"},
    ),
    "both of a colour dead": (
        stopped(BLUE_1) | stopped(BLUE_2) | change("0+0", "haproxy_backend_active") | change("0+300", "haproxy_front"),
        {"RouterDown", "ColourDown", "FrontErrors"},
    ),
    "a colour stopped on purpose": ({}, set()),
    "the centre down": (
        change("0+0", "up{" + CENTRAL) | change("0+15", "linkrouter_sync_failing_seconds", BLUE_1, BLUE_2),
        {"CentralDown", "CentralUnreached"},
    ),
    "the disk full or its reserve reached": (
        change("-1000+0", "linkrouter_spool_room", BLUE_1, BLUE_2)
        | change("0+15", "linkrouter_queue_oldest", BLUE_1, BLUE_2),
        {"SpoolNearlyFull", "ClicksOnlyInMemory"},
    ),
    "memory full, too": (change("0+500", "linkrouter_clicks_dropped", BLUE_1), {"ClicksDropped"}),
    "a wrong or stale keyring": (
        change("0+40", f'linkrouter_requests_total{{{BLUE_1},outcome="unknown_key"'),
        {"UnknownKey"},
    ),
    "HAProxy dead": (
        change("0+0", "up{" + HAPROXY) | change(GONE, "haproxy_", "h") | change(GONE, "linkrouter_colour")
        | change("0+0", "probe_success"),
        {"HAProxyDown", "FrontDoorClosed"},
    ),
    "HAProxy giving 503": (change("0+100", "haproxy_frontend_http"), {"FrontErrors"}),
    "HAProxy nearly full": (change("16000+0", "haproxy_process_current"), {"FrontNearlyFull"}),
    "a certificate near its end": (change(f"{13 * DAY}+0", "probe_ssl"), {"CertificateEnds"}),
    "the relay's certificate near its end": (change(f"{13 * DAY}+0", "linkrouter_certificate"), {"CertificateEnds"}),
    "the centre slow": (
        change("0+2", f'linkrouter_central_request_seconds_bucket{{{CENTRAL},operation="addClicks",le="1.0"'),
        {"CentralSlow"},
    ),
    "the centre failing": (change("0+2", "linkrouter_central_errors"), {"CentralErrors"}),
    "its WAL growing": (change("300000000+30000000", "linkrouter_central_journal"), {"JournalGrows"}),
    "its disk nearly full": (change("900000000+0", "linkrouter_central_disk"), {"CentralDiskNearlyFull"}),
    "routers refused": (change("0+3", f'linkrouter_sync_batches_total{{{BLUE_1},result="denied"'), {"SyncRefused"}),
    "dead letters": (change("3+0", "linkrouter_spool_dead", BLUE_2), {"SpoolDamaged"}),
    "take-backs that do not verify": (change("1+0", "linkrouter_takebacks_refused", BLUE_2), {"TakeBacksStale"}),
    "redirects slow": (
        change("0+10", f'linkrouter_request_seconds_bucket{{{BLUE_1},le="0.001"'), {"RedirectsSlow"}
    ),
    "a loop that comes late": (
        change("0+5", f'linkrouter_loop_lag_seconds_bucket{{{BLUE_1},le="0.1"'), {"LoopLate"}
    ),
    "files used up": (change("60000+0", "process_open_fds", BLUE_1), {"FilesNearlyUsed"}),
    "the relay down": (change("0+0", "up{" + RELAY), {"SenderServiceDown"}),
    "the relay's next hop away": (change("0+5", "linkrouter_mails_not_sent"), {"MailsNotSent"}),
    "the gate unable to tell": (change("0+15", "linkrouter_mails_held"), {"MailsHeld"}),
    "no report taken": (change("30+15", "linkrouter_reports_failing"), {"ReportsStuck"}),
}  # fmt: skip
SLOWLY = {  # what is no emergency has minutes
    "routers that keep different keys": (
        change(GONE, "linkrouter_key_info", BLUE_2)
        | {f'linkrouter_key_info{{{BLUE_2},key_id="1",state="verify"}}': "1+0"},
        16,
        {"KeysDiffer"},
    ),
    "labels ever further behind": (change("200000+1000", "linkrouter_central_unlabelled"), 9, {"LabelsBehind"}),
    "webhooks ever further behind": (change("20000+1000", "linkrouter_webhook_behind"), 9, {"WebhooksBehind"}),
}


def restarted(router):
    """Give the series of a router that is started now."""
    return of_router(router) | {f"process_start_time_seconds{{{router}}}": "3000+0"}


PLANS = {
    # Green is started; a minute later it is active; half a minute later blue is stopped.
    "a switch": [
        (0, restarted(GREEN_1) | restarted(GREEN_2) | change("2+0", SERVERS.format("green"))),
        (4, {COLOUR.format("green"): "1+0", COLOUR.format("blue"): "0+0"}),
        (6, stopped(BLUE_1) | stopped(BLUE_2) | change("0+0", SERVERS.format("blue"))),
    ],
    "a reload of HAProxy": [(0, change("0+0", "haproxy_frontend_http") | change("5+0", "haproxy_process_current"))],
    # The new key reaches one router three minutes before the other.
    "a rotation": [
        (0, {f'linkrouter_key_info{{{BLUE_1},key_id="2",state="sign"}}': "1+0",
             f'linkrouter_key_info{{{BLUE_1},key_id="1",state="sign"}}': GONE,
             f'linkrouter_key_info{{{BLUE_1},key_id="1",state="verify"}}': "1+0"}),
        (12, {f'linkrouter_key_info{{{BLUE_2},key_id="2",state="sign"}}': "1+0",
              f'linkrouter_key_info{{{BLUE_2},key_id="1",state="sign"}}': GONE,
              f'linkrouter_key_info{{{BLUE_2},key_id="1",state="verify"}}': "1+0"}),
    ],
    # Central is away for one scrape, and its figures begin anew.
    "an upgrade of the centre": [
        (0, change("0+0", "up{" + CENTRAL) | change("12+0", "linkrouter_sync_failing", BLUE_1, BLUE_2)),
        (1, change("1+0", "up{" + CENTRAL) | change("0+0", "linkrouter_sync_failing", BLUE_1, BLUE_2)
            | change("0+20", "linkrouter_central_request_seconds")),
    ],
}  # fmt: skip


def values_of(steps):
    """Give promtool's notation of a series: *steps* are (first sample, "start+step" or `GONE`)."""
    ends = [first for first, _ in steps[1:]] + [SERIES]
    lasts = [(value, end - first - 1) for (first, value), end in zip(steps, ends, strict=True)]
    return " ".join(" ".join([GONE] * (more + 1)) if value == GONE else f"{value}x{more}" for value, more in lasts)


def a_test(name, plan, expected):
    """Give a test of promtool's; *plan* has (samples behind the fifth minute, series that change)."""
    series = {key: [(0, value)] for key, value in WORLD.items()}
    for behind, changes in plan:
        for key, value in changes.items():
            series.setdefault(key, [(0, GONE)]).append((WELL + behind, value))
    return {
        "name": name,
        "interval": "15s",
        "input_series": [{"series": key, "values": values_of(steps)} for key, steps in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"}) * 0 + 1',
                "eval_time": f"{seconds}s",
                "exp_samples": [
                    {"labels": f'{{alertname="Linkrouter{alert}"}}', "value": 1} for alert in sorted(alerts)
                ],
            }
            for seconds, alerts in expected.items()
        ],
    }


def run(tmp_path, tests):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed; run: apt-get install prometheus")
    shutil.copy(PROMETHEUS / "alerts.yml", tmp_path)
    whole = {"rule_files": ["alerts.yml"], "evaluation_interval": "15s", "tests": tests}
    (tmp_path / "test.yml").write_text(json.dumps(whole))  # JSON is YAML
    done = subprocess.run(["promtool", "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


BREAKS_S = WELL * 15


def test_every_state_raises_its_alerts_within_a_minute_and_no_other(tmp_path):
    run(
        tmp_path,
        [
            a_test(name, [(0, changes)], {BREAKS_S - 15: set(), BREAKS_S + 45: alerts})
            for name, (changes, alerts) in STATES.items()
        ],
    )


def test_what_is_no_emergency_is_told_in_time(tmp_path):
    run(
        tmp_path,
        [
            a_test(name, [(0, changes)], {BREAKS_S + 120: set(), BREAKS_S + minutes * 60: alerts})
            for name, (changes, minutes, alerts) in SLOWLY.items()
        ],
    )


def test_no_plan_raises_any(tmp_path):
    silent = {seconds: set() for seconds in range(0, SERIES * 15 - 15, 15)}
    run(tmp_path, [a_test(name, plan, silent) for name, plan in PLANS.items()])


def test_every_rule_is_tried_and_says_what_to_do():
    text = (PROMETHEUS / "alerts.yml").read_text()
    names = re.findall(r"- alert: Linkrouter(\w+)", text)
    tried = {alert for *_, alerts in (*STATES.values(), *SLOWLY.values()) for alert in alerts}

    assert sorted(names) == sorted(tried)
    assert text.count("          summary: ") == text.count("          description: ") == len(names)
    assert len(re.findall(r"labels: \{severity: (?:critical|warning)\}", text)) == len(names)
