"""The gate: what it answers, and that nothing gets round it."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from checker.world import CLEAN, LISTED, REVIEW, UNKNOWN, Clock, Lists, Web, checking, mail, reports
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from linkrouter import Encoder, Keyring
from linkrouter.checker.check import Checker
from linkrouter.checker.gate import gate_for_encoder
from linkrouter.checker.lifetimes import CLEAN_S
from linkrouter.checker.mail.extract import extract
from linkrouter.checker.states import LinkStates
from linkrouter.checker.verdict import FetchResult, Hop
from linkrouter.errors import HeldMail

A, B, C = "https://a.example/1", "https://b.example/2", "https://a.example/3"


@pytest.mark.parametrize(
    ("url", "page", "opinion", "answer", "warns"),
    [
        (A, "answers", CLEAN, "send", False),
        (A, "not found", CLEAN, "send", True),
        (A, "bot wall", CLEAN, "send", True),
        (A, "timed out", CLEAN, "send", True),
        (A, "answers", REVIEW, "send", True),
        (A, "answers", LISTED, "block", False),
        (A, "not found", LISTED, "block", True),
        (A, "answers", UNKNOWN, "wait", False),
        (A, "answers", OSError(), "wait", False),
        (A, OSError(), CLEAN, "wait", False),
        (A, "not reached in time", CLEAN, "wait", False),
        ("https://me@a.example/", "answers", CLEAN, "send", True),
        ("https://me@a.example/", "answers", LISTED, "block", True),
        ("https://me@a.example/", "answers", UNKNOWN, "wait", True),
        ("https://exa mple.com/", "answers", LISTED, "send", True),
        ("{{ url }}", "answers", CLEAN, "send", True),
        ("mailto:me@example.com", "answers", UNKNOWN, "send", False),
    ],
)
async def test_the_answer_follows_from_fresh_verdicts(url, page, opinion, answer, warns):
    async with checking(Web({A: page}), Lists(answers={"a.example": opinion})) as checker:
        await reports(checker, mail(url))
        decision = await checker.gate(mail(url))

    assert (decision.answer, decision.may_send, bool(decision.warnings)) == (answer, answer == "send", warns)
    assert all(held.url == url and held.why for held in (*decision.waits, *decision.blocks, *decision.warnings))


async def test_a_mail_that_was_never_checked_waits():
    async with checking() as checker:
        decision = await checker.gate(mail(A))

    assert (decision.answer, decision.waits[0].why) == ("wait", "not checked yet")


async def test_a_mail_without_links_may_be_sent_and_an_unreadable_one_waits():
    async with checking() as checker:
        assert (await checker.gate(mail())).may_send
        assert (await checker.gate(extract(b"\0\1\2", "html"))).answer == "wait"


async def test_without_a_reputation_source_the_fetches_alone_decide():
    async with checking(Web({B: "not found"})) as checker:
        await reports(checker, mail(A, B))
        assert (await checker.gate(mail(A, B))).may_send


async def test_a_source_that_was_added_later_has_to_be_asked_first(tmp_path):
    async with checking(path=tmp_path / "links.db") as checker:
        await reports(checker, mail(A))
    async with checking(Web(), Lists(), path=tmp_path / "links.db") as checker:
        decision = await checker.gate(mail(A))

    assert (decision.answer, decision.waits[0].why) == ("wait", "dbl has not answered")


async def test_what_is_expired_waits_and_a_transient_error_holds_for_minutes_only():
    clock = Clock()

    async with checking(Web({B: "timed out"}), clock=clock) as checker:
        await reports(checker, mail(A, B))
        first = await checker.gate(mail(A, B))
        clock.now = first.holds_until - 1
        still = await checker.gate(mail(A, B))
        clock.now = first.holds_until
        late = await checker.gate(mail(A, B))

    assert (first.may_send, still.may_send, late.may_send) == (True, True, False)
    assert [(held.url, held.why) for held in late.waits] == [(B, "checked too long ago")]


async def test_a_match_that_expired_is_asked_for_again_and_may_then_be_sent():
    clock, lists = Clock(), Lists(answers={"a.example": LISTED})

    async with checking(Web(), lists, clock=clock) as checker:
        await reports(checker, mail(A))
        blocked = await checker.gate(mail(A))
        clock.now += LISTED.holds_s
        expired = await checker.gate(mail(A))
        lists.answers.clear()
        await reports(checker, mail(A))
        free = await checker.gate(mail(A))

    assert [each.answer for each in (blocked, expired, free)] == ["block", "wait", "send"]


async def test_a_check_that_crashed_leaves_the_mail_waiting(tmp_path):
    begun = asyncio.Event()

    async def fetch(url, deadline):
        begun.set()
        await asyncio.Event().wait()

    clock = Clock()
    async with checking(path=tmp_path / "links.db", clock=clock) as checker:
        await reports(checker, mail(A))
    clock.now += 7200
    async with checking(fetch, path=tmp_path / "links.db", clock=clock) as checker:
        task = asyncio.create_task(reports(checker, mail(A)))
        await begun.wait()
        task.cancel()
    async with checking(path=tmp_path / "links.db", clock=clock) as checker:
        decision = await checker.gate(mail(A))

    assert (decision.answer, decision.waits[0].why) == ("wait", "not checked yet")


# The encoder's hook


@pytest.mark.parametrize(
    ("decided", "written", "sent"),
    [([A, B], [A, B], True), ([A, B], [A], True), ([A], [A, B], False), ([A, "https://evil.example/"], [A], False)],
)
async def test_an_encoder_with_a_gate_rewrites_only_what_may_be_sent(decided, written, sent):
    lists = Lists(answers={"evil.example": LISTED})

    async with checking(Web(), lists) as checker:
        await reports(checker, mail(*decided))
        decision = await checker.gate(mail(*decided))
        gate = gate_for_encoder(decision, clock=Clock())
    encoder = Encoder("https://click.example.com", Keyring.create(), gate=gate)
    html = "".join(f'<a href="{url}#part">x</a>' for url in written)

    if sent:
        assert len(encoder.rewrite_html(html).links) == len(written)
    else:
        with pytest.raises(HeldMail) as held:
            encoder.rewrite_html(html)
        assert held.value.links
        assert "example" not in str(held.value)


async def test_a_decision_that_has_expired_holds_the_mail():
    clock = Clock()

    async with checking(clock=clock) as checker:
        await reports(checker, mail(A))
        gate = gate_for_encoder(await checker.gate(mail(A)), clock=clock)
    gate((A,))
    clock.now += 3600

    with pytest.raises(HeldMail):
        gate((A,))


# No interleaving lets an unverified or listed link out

MAILS = [mail(A), mail(B, C), mail(A, B, C), mail("https://me@b.example/", A)]
LONGEST_S = {"answers": 3600.0 * 16, "not found": 300.0, "timed out": 600.0}


class Interleavings(RuleBasedStateMachine):
    """Checks that run, stop and crash; providers that answer, fail and change their minds; a clock that jumps.

    Fetches and questions stay open until a rule answers one of them. The model remembers what was really answered last.
    """

    @initialize()
    def begin(self):
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.fetched = {}  # key → (until when at most, the URLs on its way)
        self.said = {}  # host → (until when, the last answer that was one)
        self.checks = []
        self.run(self.open())

    def teardown(self):
        """Whatever happened: what is clean gets out. A gate that always holds would pass everything else."""
        self.run(self.crash_now())
        self.clock.now += 86_400 * 2
        self.run(self.decide_all({"b.example"}))
        self.loop.close()
        self.folder.cleanup()

    def run(self, work):
        return self.loop.run_until_complete(work)

    async def open(self):
        self.open_fetches, self.open_asks = [], []
        states = LinkStates(Path(self.folder.name) / "links.db", rules=1, clock=self.clock)
        self.checker = Checker(self.fetch, states, sources=[self], clock=self.clock)
        await self.checker.__aenter__()

    async def crash_now(self):
        for task in self.checks:
            task.cancel()
        await asyncio.gather(*self.checks, return_exceptions=True)
        self.checks = []
        await self.checker.__aexit__(None, None, None)

    # This machine is the web and the one source of its checker.

    name = "dbl"
    query_for = Lists.query_for

    async def fetch(self, url, deadline):
        answer = asyncio.get_running_loop().create_future()
        self.open_fetches.append((url, answer))
        self.fetched.pop(url, None)  # asked again: what was known is no longer good enough
        return await answer

    async def ask(self, query):
        answer = asyncio.get_running_loop().create_future()
        self.open_asks.append((query, answer))
        self.said.pop(query, None)
        return await answer

    async def close(self):
        pass

    async def settle(self):
        """Let everything go as far as it can: the store answers in turn, so a few questions to it come back last."""
        for _ in range(6):
            await self.checker.gate(MAILS[2])

    @rule(which=st.sampled_from(MAILS), author=st.sampled_from(["", "anna"]))
    def check(self, which, author):
        self.checks.append(self.loop.create_task(reports(self.checker, which, author=author, within_s=600)))
        self.run(self.settle())

    @rule(index=st.integers(0, 9), way=st.sampled_from([(), ("https://c.example/",)]), data=st.data())
    def answer_a_fetch(self, index, way, data):
        if not self.open_fetches:
            return
        url, answer = self.open_fetches.pop(index % len(self.open_fetches))
        reason = data.draw(
            st.sampled_from(["answers", "answers", "not found", "timed out", "not reached in time", None])
        )
        if answer.done():
            return
        if reason is None:
            answer.set_exception(OSError("the fetch failed"))
        else:
            answer.set_result(FetchResult(reason, "", tuple(Hop(each, "HEAD", 200) for each in (url, *way))))
            if reason != "not reached in time":
                self.fetched[url] = (self.clock.now + LONGEST_S[reason], (url, *way))
        self.run(self.settle())

    @rule(index=st.integers(0, 9), opinion=st.sampled_from([CLEAN, CLEAN, CLEAN, LISTED, REVIEW, UNKNOWN, None]))
    def answer_a_question(self, index, opinion):
        if not self.open_asks:
            return
        query, answer = self.open_asks.pop(index % len(self.open_asks))
        if answer.done():
            return
        if opinion is None:
            answer.set_exception(OSError("the provider failed"))
        else:
            answer.set_result(opinion)
            if opinion.answer != "unknown":
                self.said[query] = (self.clock.now + (opinion.holds_s or CLEAN_S), opinion)
        self.run(self.settle())

    @rule(seconds=st.sampled_from([1, 299, 601, 1801, 3601, 90_000]))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule()
    def abandon_a_check(self):
        if self.checks:
            self.checks.pop(0).cancel()
            self.run(self.settle())

    @rule()
    def crash(self):
        self.run(self.crash_now())
        self.run(self.open())

    @invariant()
    def nothing_unverified_or_listed_may_be_sent(self):
        for links in MAILS:
            decision = self.run(self.checker.gate(links))
            if not decision.may_send:
                continue
            for link in links:
                way = (link.key,)
                if link.settled is None:
                    until, way = self.fetched[link.key]
                    assert self.clock.now < until
                for host in {self.query_for(url) for url in way}:
                    until, opinion = self.said[host]
                    assert self.clock.now < until
                    assert not opinion.blocks

    async def decide_all(self, blocked):
        lists = Lists(answers=dict.fromkeys(blocked, LISTED))
        path = Path(self.folder.name) / "links.db"
        async with checking(Web(), lists, path=path, clock=self.clock) as checker:
            for links in MAILS:
                await reports(checker, links)
                hosts = {self.query_for(link.key) for link in links}
                assert (await checker.gate(links)).answer == ("block" if hosts & blocked else "send")


def test_what_was_fetched_before_a_crash_is_not_fetched_again():
    class Answers:
        def draw(self, _):
            return "answers"

    state = Interleavings()
    state.begin()
    state.check(which=MAILS[0], author="")
    state.answer_a_fetch(index=0, way=(), data=Answers())

    state.crash()
    state.check(which=MAILS[0], author="")

    assert state.open_fetches == []
    assert [query for query, _ in state.open_asks] == ["a.example"]
    state.teardown()


TestInterleavings = pytest.mark.slow(Interleavings.TestCase)
TestInterleavings.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
