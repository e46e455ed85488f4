"""`linkrouter spool status`: for every store, and without changing anything."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from linkrouter.cli.spool import spool
from linkrouter.clicks import Click, open_click_store
from linkrouter.clicks.click import write_click


def status(*words) -> str:
    run = CliRunner().invoke(spool, ["status", *words], catch_exceptions=False)
    assert run.exit_code == 0
    return run.stdout


async def fill(url):
    store = open_click_store(url)
    await store.open()
    clicks = [Click(f"id-{n}", "-----w", 0, "html", 1_000_000 * n, None, None, "click") for n in range(5)]
    await store.append([write_click(click) for click in clicks])
    batch = await store.next_batch(2)
    await store.add_dead_letters(batch.records[:1], "refused")
    await store.ack(batch)
    await store.close()


def test_tells_what_waits_and_what_was_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/spool"
    asyncio.run(fill(url))

    told = json.loads(status(url, "--json"))

    assert (told["pending"], told["dead_letters"], told["quarantined_segments"], told["lost"]) == (3, 1, 0, 0)
    assert told["oldest_seconds"] > 0
    assert set(told) == {"pending", "oldest_seconds", "bytes", "dead_letters", "quarantined_segments", "lost"}


@pytest.mark.parametrize("url", ["memory:", "sqlite:///{}/none"])
def test_every_store_has_a_status_and_an_empty_one_too(tmp_path, url):
    shown = status(url.format(tmp_path))

    assert ["pending", "0"] in [line.split() for line in shown.splitlines()]
    assert list(tmp_path.iterdir()) == []
