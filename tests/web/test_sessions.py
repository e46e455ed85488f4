"""Sessions end by themselves, all at once when that is asked for, and are bounded in number."""

import pytest

from linkrouter.web.sessions import MAX_FAILURES, MAX_SESSIONS, SESSION_IDLE_S, SESSION_LIFETIME_S, Sessions


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(clock):
    return Sessions(clock)


def test_a_session_stands_for_its_token(sessions):
    cookie = sessions.begin(b"token")

    assert sessions.find(cookie) == b"token"
    assert sessions.find(cookie + "x") is None
    assert cookie != sessions.begin(b"token")


def test_a_session_that_is_not_used_is_over(sessions, clock):
    cookie = sessions.begin(b"token")
    clock.now += SESSION_IDLE_S - 1
    assert sessions.find(cookie) == b"token"  # which uses it
    clock.now += SESSION_IDLE_S - 1
    assert sessions.find(cookie) == b"token"
    clock.now += SESSION_IDLE_S

    assert sessions.find(cookie) is None


def test_a_session_is_over_after_its_lifetime_however_much_it_is_used(sessions, clock):
    cookie = sessions.begin(b"token")
    for _ in range(int(SESSION_LIFETIME_S / 600)):
        clock.now += 600
        found = sessions.find(cookie)

    assert found is None


def test_one_session_or_all_of_a_token_are_ended(sessions):
    first, second, other = sessions.begin(b"a"), sessions.begin(b"a"), sessions.begin(b"b")

    sessions.end(first)
    assert (sessions.find(first), sessions.find(second)) == (None, b"a")
    sessions.end_all(second)
    assert (sessions.find(second), sessions.find(other)) == (None, b"b")


def test_there_are_no_more_than_so_many_and_the_longest_idle_goes_first(sessions, clock):
    used, idle = sessions.begin(b"token"), sessions.begin(b"token")
    sessions.find(used)
    for _ in range(MAX_SESSIONS - 1):
        newest = sessions.begin(b"token")

    assert sessions.find(idle) is None
    assert (sessions.find(used), sessions.find(newest)) == (b"token", b"token")


def test_who_guesses_tokens_is_held_for_a_while(sessions, clock):
    for _ in range(MAX_FAILURES):
        assert not sessions.is_held()
        sessions.note_failure()

    assert sessions.is_held()
    clock.now += 61
    assert not sessions.is_held()
