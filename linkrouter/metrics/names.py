"""The metrics of our processes, all named here but those that every program has (`linkrouter.metrics.process`).

Promise: no metric can hold a link, a destination, an address or a user agent: labels are words from closed sets, and
names that the operator has given to routers.
"""

__all__ = ["METRICS"]

METRICS: dict[str, tuple[str, str, str]] = {
    # name: (kind, label, help); a gauge with several labels has them separated by spaces
    "linkrouter_build_info": ("gauge", "version python process", "What runs here; always 1."),
    "linkrouter_loop_lag_seconds": ("histogram", "", "How late the event loop comes to what is due."),
    "linkrouter_key_info": ("gauge", "key_id state", "Keys in use, by id and state; always 1."),
    "linkrouter_domains_info": (
        "gauge",
        "fingerprint",
        "Own domains in use, by the fingerprint of their file; always 1.",
    ),
    "linkrouter_requests": ("counter", "outcome", "Requests on the traffic port, by what they got."),
    "linkrouter_clicks_dropped": ("counter", "reason", "Clicks that were not kept, by reason."),
    "linkrouter_clicks_recorded": ("counter", "kind", "Clicks made durable."),
    "linkrouter_queue_clicks": ("gauge", "", "Clicks in memory or in the ring, waiting for the next commit."),
    "linkrouter_queue_oldest_seconds": ("gauge", "", "Age of the oldest of them."),
    "linkrouter_spool_pending_clicks": (
        "gauge",
        "",
        "Clicks of this process in the store that central has not acknowledged.",
    ),
    "linkrouter_spool_oldest_seconds": ("gauge", "", "Age of the oldest of them."),
    "linkrouter_spool_bytes": ("gauge", "", "Size of this process's share of the store."),
    "linkrouter_spool_dead_letters": ("gauge", "", "Clicks central refused for good."),
    "linkrouter_spool_quarantined_segments": ("gauge", "", "Damaged segments kept for a person to look at."),
    "linkrouter_spool_clicks_lost": ("counter", "reason", "Clicks that a damaged store could not give back."),
    "linkrouter_sync_batches": ("counter", "result", "Batches sent to central, by its answer."),
    "linkrouter_sync_clicks": (
        "counter",
        "result",
        "Clicks sent to central: stored, duplicate or dead letter.",
    ),
    "linkrouter_sync_failing_seconds": (
        "gauge",
        "",
        "Time since central last took a batch, 0 when all is well.",
    ),
    "linkrouter_takebacks_in_force": ("gauge", "", "Rules in force; lifted ones are not counted."),
    "linkrouter_takebacks_refused": ("gauge", "", "Rules of the list that do not verify with these keys."),
    "linkrouter_takebacks_age_seconds": ("gauge", "", "Time since central last confirmed the list of take-backs."),
    "linkrouter_central_clicks": ("counter", "result", "Clicks that routers sent: stored or duplicate."),
    "linkrouter_central_labels": ("counter", "result", "Clicks and links that were looked at to label them: done."),
    "linkrouter_central_unlabelled_clicks": ("gauge", "", "Stored clicks that have no label yet."),
    "linkrouter_webhook_attempts": (
        "counter",
        "result",
        "Events sent to webhook endpoints: delivered, pending (tried again later) or failed.",
    ),
    "linkrouter_webhook_behind_events": ("gauge", "", "Events that the endpoint furthest behind has not come to."),
    "linkrouter_central_errors": ("counter", "status", "Requests that central failed to answer, by status."),
    "linkrouter_central_request_seconds": ("histogram", "operation", "Time from a request to its answer."),
    "linkrouter_central_journal_bytes": ("gauge", "", "Size of the database's write-ahead log."),
    "linkrouter_central_disk_free_bytes": ("gauge", "", "Free space of the disk that the database is on."),
    "linkrouter_central_oldest_click_timestamp_seconds": ("gauge", "", "Time of the oldest click that is kept."),
    "linkrouter_central_newest_click_timestamp_seconds": ("gauge", "", "Time of the newest click."),
    "linkrouter_central_lost_clicks": ("gauge", "router", "Clicks that routers told central they could not keep."),
    "linkrouter_checked_links": ("counter", "verdict", "Links that the check has judged, by verdict."),
    "linkrouter_check_seconds": ("histogram", "", "Time that the check of a mail took."),
    "linkrouter_checks_running": ("gauge", "", "Checks of mails that are not done."),
    "linkrouter_encoder_request_seconds": ("histogram", "operation", "Time from a request to its answer."),
    "linkrouter_encoder_errors": ("counter", "status", "Requests that the encoder service failed to answer."),
    "linkrouter_mails_rewritten": ("counter", "result", "Mails given to be rewritten: tracked, untracked or held."),
    "linkrouter_mail_seconds": ("histogram", "result", "Time from a whole mail to the answer for it."),
    "linkrouter_gate_seconds": ("histogram", "", "Part of that time in which a mail's links were checked."),
    "linkrouter_reports_waiting_bytes": ("gauge", "", "Reports of mails that central has not taken yet."),
    "linkrouter_reports_failing_seconds": (
        "gauge",
        "",
        "Time since central last took a report, 0 when all is well.",
    ),
    "linkrouter_certificate_end_timestamp_seconds": ("gauge", "", "When the certificate for STARTTLS ends."),
    "linkrouter_mails_sent": ("counter", "kind", "Mails, or copies, that the next hop took: tracked or untracked."),
    "linkrouter_mails_held": ("counter", "reason", "Mails that the gate found flagged or unknown."),
    "linkrouter_mails_not_sent": ("counter", "reason", "Mails that were answered no, by who said it."),
    "linkrouter_relay_connections": ("gauge", "", "Connections of senders that are open."),
    "linkrouter_central_looks": ("counter", "verdict", "Looks at destinations that were sent, by what they found."),
    "linkrouter_central_looks_due": ("gauge", "", "Watched destinations whose look is due and waits for its turn."),
    "linkrouter_central_database_bytes": ("gauge", "", "Size of the database on the disk."),
}
