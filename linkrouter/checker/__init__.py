"""The pre-send checker.

    mail ── extract ──▶ LinkToCheck ── Checker.check ──▶ LinkReport, as they come ── formats ──▶ JSON, JUnit, lines
                           │             │ fetches and asks, each once, and stores what it learns
                           │             ▼
                           │        LinkStates
                           │             │
                           └── Checker.gate ──▶ Decision: send, wait or block ── gate_for_encoder ──▶ Encoder(gate=…)

`compose.open_checker(settings)` puts a `Checker` together. What decides is pure (rules, addresses, classify, extract,
lifetimes, gate, reputation.codes); what touches the network is client, dial, resolve and the reputation sources; what
touches the disk is states.
"""
