"""The labelled sequences that lie beside the project, and variants of each with jitter."""

import json
import random
from pathlib import Path

import pytest

from linkrouter.insight import Networks, ObservedClick, judge_message

CORPUS = Path(__file__).parents[3] / "shared/corpus/robots/sequences.json"
SEQUENCES = json.loads(CORPUS.read_text()) if CORPUS.exists() else []
NETWORKS = Networks(clouds=["198.51.100.0/24"], relays=["192.0.2.0/24"])
PREFIX = {"dc": "198.51.100", "relay": "192.0.2", "home": "203.0.113", "corp": "100.64.0", "mobile": "100.65.0"}

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the labelled sequences are not on this machine")


def clicks_of(sequence, jitter=0.0, seed=0):
    """Give the sequence as clicks, each gap lengthened or shortened by up to *jitter*."""
    rng = random.Random(seed)
    clicks, at, before = [], 0.0, 0.0
    for number, event in enumerate(sequence["events"]):
        at += (event["t"] - before) * (1 + rng.uniform(-jitter, jitter))
        before = event["t"]
        known = event["net"] != "unknown"
        address = f"{PREFIX[event['net']]}.{1 + sum(map(ord, event['ip'])) % 200}" if known else None
        clicks.append(
            ObservedClick(
                str(number),
                f"link-{event['l']}",
                None if event["l"] == "trap" else event["l"],
                "html",
                event["kind"],
                round(at * 1_000_000),
                address,
                event["ua"] if known else None,
                event["l"] == "trap",
            )
        )
    return clicks


def labels_of(sequence, clicks):
    judged = judge_message(clicks, links=sequence["links"], networks=NETWORKS)
    return [judged[click.id].label.replace("not judged", "human") for click in clicks]


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence["why"])
def test_labels_a_sequence_as_written_down(sequence):
    clicks = clicks_of(sequence)

    assert labels_of(sequence, clicks) == sequence["labels"]


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence["why"])
def test_labels_its_variants_with_jitter_alike(sequence):
    for seed in range(5):
        clicks = clicks_of(sequence, jitter=0.3, seed=seed)
        random.Random(seed).shuffle(clicks)

        labels = dict(zip((click.id for click in clicks), labels_of(sequence, clicks), strict=True))

        assert [labels[str(number)] for number in range(len(clicks))] == sequence["labels"]
