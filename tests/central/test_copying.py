"""Moving from one engine to the other and back: what was there is there, and goes on."""

import pytest
from central.history import make_history
from central.labelled import assert_figures_are_the_sum_of_labels, label_all

from linkrouter.central.store.opening import open_central_store
from linkrouter.central.store.questions import ClickFilter, Erasure, MessageFilter
from linkrouter.central.store.records import RouterLoss
from linkrouter.central.store.sql.copying import copy_store
from linkrouter.central.store.webhooks import Endpoint
from linkrouter.errors import StoreError


class StoppedError(Exception):
    """The copy was stopped."""


async def test_a_store_moves_to_another_engine_and_back_though_it_is_stopped(tmp_path, postgres_url, make_clicks):
    first, second, third = [
        open_central_store(url) for url in (f"sqlite:///{tmp_path}/a.db", postgres_url, f"sqlite:///{tmp_path}/b.db")
    ]
    for store in (first, second, third):
        await store.open()
    try:
        await make_history(first, seed=3)
        await first.add_endpoint(Endpoint(id="hook", tenant=None, url="u", types=("x",), secret="s", created_at=1), 1)
        await first.add_clicks([], [RouterLoss("loss", "ams", "full", 10**11, 1, 2)])
        await first.erase(Erasure("r3@example.net", withhold=True))

        def stop(table, rows):
            if (table, rows > 200) == ("clicks", True):
                raise StoppedError

        with pytest.raises(StoppedError):
            await copy_store(first, second, stop, step_rows=90)
        there = await copy_store(first, second)
        back = await copy_store(second, third)

        assert {one.table: one.source for one in there} == {one.table: one.target for one in back}
        assert all(one.source == one.target for one in (*there, *back))
        assert {one.table for one in there if one.target} >= {"clicks", "labels", "roll_ups", "webhooks", "losses"}
        clicks = [await store.find_clicks(ClickFilter(), None, 1000) for store in (first, second, third)]
        messages = [await store.find_messages(MessageFilter(), None, 1000) for store in (first, second, third)]
        assert clicks[0] == clicks[1] == clicks[2]
        assert messages[0] == messages[1] == messages[2]
        for store in (second, third):
            await store.add_clicks(make_clicks(5))
            await label_all(store)
            await assert_figures_are_the_sum_of_labels(store)
        with pytest.raises(StoreError, match="has clicks already"):
            await copy_store(first, second)
    finally:
        for store in (first, second, third):
            await store.close()
