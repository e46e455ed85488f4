"""What a tracked link costs to sign and to verify, against one bare `hmac.digest` over the same bytes.

    python tests/bench/bench_codec.py [--rounds N]

Everything is measured in the same run, in interleaved rounds; the figures are medians.
"""

import argparse
import hmac
import statistics
import time
from collections.abc import Callable

from linkrouter.link import Keyring

CALLS = 500  # in a row, for one measurement
URLS = {
    "short": "https://www.example.com/offers/1/summer-shoes",
    "with a query": "https://www.example.com/offers/2?utm_source=newsletter&utm_medium=email&utm_campaign=week-2",
    "to be serialised": "https://www.Example.com/caf\u00e9/Gr\u00f6\u00dfe",
}


def median_us(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Run every task `CALLS` times a round and give the median time of one call in microseconds."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            started = time.perf_counter()
            for _ in range(CALLS):
                task()
            times[name].append((time.perf_counter() - started) / CALLS)
    return {name: statistics.median(values) * 1e6 for name, values in times.items()}


def main() -> None:
    """Measure every kind of URL and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    keyring = Keyring.create()
    key, link_id = bytes(32), bytes(8)
    print(f"{'URL':<20}{'':<14}{'median us':>10}{'x hmac':>8}")
    for kind, url in URLS.items():
        path = keyring.sign(url, link_id=link_id)
        signed = path.rpartition("/")[0].encode()
        took = median_us(
            {
                "hmac.digest": lambda signed=signed: hmac.digest(key, signed, "sha256"),
                "sign": lambda url=url: keyring.sign(url, link_id=link_id),
                "verify": lambda path=path: keyring.verify(path),
            },
            rounds,
        )
        for name, us in took.items():
            print(f"{kind:<20}{name:<14}{us:>10.2f}{us / took['hmac.digest']:>8.2f}")


if __name__ == "__main__":
    main()
