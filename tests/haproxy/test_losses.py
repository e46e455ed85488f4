"""Nothing is lost while things happen to a pair; the short runs. `losses.py` makes the long ones and the table."""

import pytest
from haproxy.losses import (
    NOT_DURABLE_S,
    RATE,
    TABLE,
    freeze_one,
    kill_both,
    kill_both_with_standby,
    kill_one,
    measure,
    reload_haproxy,
    rotate_keys,
    switch_colours,
)

HARMLESS = {
    "colour switch": (2, switch_colours),
    "HAProxy reload": (3, reload_haproxy),
    "SIGSTOP of one router": (1, freeze_one),
    "key rotation": (2, rotate_keys),
}


@pytest.mark.parametrize("event", HARMLESS)
async def test_no_request_and_no_click_is_lost(machine, event):
    times, happen = HARMLESS[event]

    row = await measure(machine, event, times, happen)

    assert row.requests > RATE
    assert (row.lost, row.wrong, row.missing, row.twice) == (0, 0, 0, 0), row


async def test_a_killed_router_costs_no_request_and_no_more_clicks_than_one_commit(machine):
    row = await measure(machine, "SIGKILL of one router", 2, kill_one)

    assert (row.lost, row.wrong, row.twice) == (0, 0, 0), row
    assert row.missing <= 2 * RATE * NOT_DURABLE_S


async def test_with_both_routers_killed_the_other_colour_takes_over_when_it_stands_by(machine):
    row = await measure(machine, "SIGKILL of both", 1, kill_both_with_standby)

    assert "503" not in row.faults, row
    assert row.lost + row.wrong <= 3, row  # requests in both dead routers' hands one after the other; some get a 502
    assert row.twice == 0


async def test_with_both_routers_killed_and_none_standing_by_service_returns_when_they_do(machine):
    row = await measure(machine, "SIGKILL of both", 1, kill_both)
    after = await measure(machine, "nothing", 1, TABLE["nothing, for 30 s"][1])

    assert 0 < row.lost + row.wrong < row.requests
    assert (after.lost, after.wrong) == (0, 0)
    print(f"no router for {row.gap_ms:.0f} ms: {row.faults}")


@pytest.mark.faults
@pytest.mark.parametrize("event", TABLE)
async def test_the_table_of_losses_holds(make_machine, event):
    machine = make_machine()
    machine.begin()
    times, happen = TABLE[event]

    row = await measure(machine, event, times, happen)

    if "both" not in event:
        assert (row.lost, row.wrong, row.twice) == (0, 0, 0), row
        assert row.max_ms < 1000, row
        assert row.missing <= (times * RATE * NOT_DURABLE_S if "SIGKILL" in event else 0), row
