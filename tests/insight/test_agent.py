"""What a user agent says of itself."""

import pytest

from linkrouter.insight import Agent, describe_agent, has_fast_agent_parser
from linkrouter.insight.agent import MAX_CACHED_AGENTS, _describe

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/142.0.0.0 Safari/537.36", ("Chrome", "Windows", "desktop")),
        (
            f"Mozilla/5.0 (Linux; Android 15; P) {WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36",
            ("Chrome", "Android", "mobile"),
        ),
        (
            f"Mozilla/5.0 (Linux; Android 15; T) {WEBKIT} Chrome/142.0.0.0 Safari/537.36",
            ("Chrome", "Android", "tablet"),
        ),
        ("Outlook-iOS/2.0", ("Outlook", "iOS", "mobile")),
        ("eM Client/9.2.1735.0", ("eM Client", "unknown", "unknown")),
        ("", ("unknown", "unknown", "unknown")),
    ],
)
def test_describes_an_agent(user_agent, expected):
    agent = describe_agent(user_agent)

    assert (agent.browser, agent.os, agent.platform) == expected


def test_an_agent_of_any_length_is_described_in_bounded_memory():
    assert describe_agent("x" * 10_000) == describe_agent("x" * 512) == Agent()


def test_the_fast_parser_is_installed_with_the_core():
    assert has_fast_agent_parser()


def test_many_kinds_of_agents_leave_a_bounded_memory():
    for number in range(MAX_CACHED_AGENTS + 100):
        describe_agent(f"kind {number}")

    assert _describe.cache_info().currsize == MAX_CACHED_AGENTS
