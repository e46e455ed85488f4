"""`linkrouter check` in a pipeline: what it takes, what it leaves out, how it answers, and how it exits."""

import json
import os
import pty
import subprocess
import sys

import pytest
from aiohttp import web
from checker.servers import site, status
from checker.test_check_command import ALLOW, by_status, page, run


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def verdicts(out):
    return {link["url"].rpartition("/")[2]: link["verdict"] for link in json.loads(out)["links"]}


async def test_several_files_globs_and_standard_input_are_one_check(here):
    async with site(by_status) as (origin, seen):
        (here / "a.html").write_bytes(page(f"{origin}/200", f"{origin}/404"))
        (here / "b.mjml").write_text(f'<mjml><mj-button href="{origin}/404">x</mj-button></mjml>')
        (here / "sub").mkdir()
        (here / "sub" / "c.md").write_text(f"[x]({origin}/410)")
        code, out, _ = await run(*ALLOW, "--json", "a.html", "*.mjml", "**/*.md", "-", stdin=f"{origin}/204".encode())

    result = json.loads(out)
    assert code == 1
    assert [(each["name"], each["kind"], each["links"]) for each in result["inputs"]] == [
        ("a.html", "html", 2),
        ("b.mjml", "mjml", 1),
        ("sub/c.md", "markdown", 1),
        ("-", "urls", 1),
    ]
    assert verdicts(out) == {"200": "fine", "404": "broken", "410": "broken", "204": "fine"}
    places = {link["url"].rpartition("/")[2]: link["places"] for link in result["links"]}
    assert [(place["file"], place["part"], place["line"]) for place in places["404"]] == [
        ("a.html", "html", 2),
        ("b.mjml", "mjml", 1),
    ]
    assert "file" not in places["204"][0]
    assert seen.count(("HEAD", "/404")) == 1


async def test_a_page_may_be_given_by_its_url_and_its_links_lead_from_there():
    async def handler(request):
        if request.path == "/start":
            return web.Response(status=302, headers={"Location": "/news/page"})
        if request.path == "/news/page":
            return web.Response(text='<a href="item">x</a> <a href="/gone">y</a>', content_type="text/html")
        return web.Response(status=404 if request.path == "/gone" else 200)

    async with site(handler) as (origin, _):
        code, out, _ = await run(*ALLOW, "--json", f"{origin}/start")
        refused = await run("--json", f"{origin}/start")

    assert code == 1
    assert {link["url"]: link["verdict"] for link in json.loads(out)["links"]} == {
        f"{origin}/news/item": "fine",
        f"{origin}/gone": "broken",
    }
    assert json.loads(out)["inputs"][0]["kind"] == "html"
    assert (refused[0], refused[1]) == (3, "")
    assert "could not be fetched: address not public" in refused[2]


async def test_links_are_left_out_and_kept_by_pattern(here):
    async with site(by_status) as (origin, seen):
        mail = page(f"{origin}/200", f"{origin}/404", f"{origin}/410")
        excluded = await run(*ALLOW, "--json", "--exclude", "/404$", "--exclude", "/410$", stdin=mail)
        kept = await run(*ALLOW, "--json", "--exclude", "/4", "--include", "/410", stdin=mail)
        only = await run(*ALLOW, "--json", "--include", "/20.$", stdin=mail)
        (here / ".linkrouterignore").write_text("# known\n/404$\n\n/410$\n")
        ignored = await run(*ALLOW, "--json", stdin=mail)

    assert [code for code, _, _ in (excluded, kept, only, ignored)] == [0, 1, 0, 0]
    assert verdicts(excluded[1]) == verdicts(only[1]) == verdicts(ignored[1])
    assert verdicts(ignored[1]) == {"200": "fine", "404": "skipped", "410": "skipped"}
    assert verdicts(kept[1]) == {"200": "fine", "404": "skipped", "410": "broken"}
    assert json.loads(ignored[1])["may_send"] is True
    assert ("HEAD", "/404") not in seen


async def test_statuses_may_be_accepted():
    async with site(by_status) as (origin, _):
        mail = page(f"{origin}/404", f"{origin}/503", f"{origin}/410")
        code, out, _ = await run(*ALLOW, "--json", "--accept", "404,500-599", stdin=mail)

    assert code == 1
    assert verdicts(out) == {"404": "fine", "503": "fine", "410": "broken"}


@pytest.mark.parametrize(
    ("fail_on", "codes"),
    [
        (None, [0, 1, 3, 1]),
        ("broken,flagged,unverifiable", [1, 1, 1, 1]),
        ("flagged", [0, 0, 3, 0]),
        ("none", [0, 0, 3, 0]),
    ],
)
async def test_what_fails_the_run_can_be_chosen(fail_on, codes):
    options = () if fail_on is None else ("--fail-on", fail_on)
    async with site(by_status) as (origin, _):
        mails = [page(f"{origin}/{number}") for number in (999, 404, 429)]
        found = [(await run(*ALLOW, *options, stdin=mail))[0] for mail in (*mails, page("http:/oops.example"))]

    assert found == codes


async def test_settings_are_found_in_a_folder_above_and_options_win(here):
    (here / "linkrouter.toml").write_text(
        '[check]\nexclude = ["/404$", "a,b"]\nallow-network = ["127.0.0.0/8", "::1/128"]\n'
        'accept = [410]\nformat = "json"\n'
    )
    (here / "deep" / "er").mkdir(parents=True)
    os.chdir(here / "deep" / "er")
    async with site(by_status) as (origin, _):
        mail = page(f"{origin}/404", f"{origin}/410", f"{origin}/200?a,b")
        code, out, _ = await run(stdin=mail)
        text = await run("--format", "text", "--exclude", "^none$", stdin=mail)
    (here / "linkrouter.toml").write_text("exclud = 1\n")
    wrong = await run(stdin=mail)

    assert code == 0
    assert [link["verdict"] for link in json.loads(out)["links"]] == ["skipped", "fine", "skipped"]
    assert (text[0], text[1][:6]) == (1, "broken")
    assert (wrong[0], wrong[2].count("\n")) == (2, 1)
    assert "did you mean exclude?" in wrong[2]


async def test_what_could_not_be_told_is_asked_again():
    answers = {"/a": [429, 429, 200], "/b": [200]}

    async def handler(request):
        left = answers[request.path]
        number = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(status=number, headers={"Retry-After": "3600"} if number == 429 else {})

    async with site(handler) as (origin, seen):
        code, out, _ = await run(*ALLOW, "--json", "--retries", "0", stdin=page(f"{origin}/a", f"{origin}/b"))
        asked = seen.count(("HEAD", "/a"))
    async with site(status(200)) as (origin, seen):
        await run(*ALLOW, "--json", "--retries", "3", stdin=page(f"{origin}/a"))

    assert (code, verdicts(out)) == (3, {"a": "unverifiable", "b": "fine"})
    assert asked == 1
    assert [method for method, _ in seen] == ["HEAD", "GET"]  # once, with its second opinion


async def test_a_host_that_hangs_up_once_is_fine_with_a_retry():
    async def handler(request):
        handler.asked += 1
        if handler.asked <= 2:
            request.transport.abort()
        return web.Response()

    handler.asked = 0
    async with site(handler) as (origin, _):
        code, out, _ = await run(*ALLOW, "--json", "--retries", "2", stdin=page(f"{origin}/a"))

    assert (code, verdicts(out)) == (0, {"a": "fine"})


async def test_images_are_checked_when_they_are_asked_for():
    async with site(by_status) as (origin, _):
        mail = f'<a href="{origin}/200">x</a><img src="{origin}/404"><td background="{origin}/204">'.encode()
        without = await run(*ALLOW, "--json", stdin=mail)
        code, out, _ = await run(*ALLOW, "--json", "--images", stdin=mail)
        _, text, _ = await run(*ALLOW, "--images", stdin=mail)

    assert (without[0], json.loads(without[1])["images"]) == (0, [])
    assert code == 1
    assert [
        (image["url"][-3:], image["verdict"], image["places"][0]["alt"]) for image in json.loads(out)["images"]
    ] == [
        ("404", "broken", None),
        ("204", "fine", ""),
    ]
    assert f"no alt text   {origin}/404 in html, line 1" in text.splitlines()
    assert text.splitlines()[-1] == "links: 1 fine; images: 1 fine, 1 broken; the mail may be sent"


async def test_fragments_are_looked_for_when_they_are_asked_for():
    async def handler(_):
        return web.Response(text='<h1 id="here">x</h1><p id="user-content-mine">', content_type="text/html")

    async with site(handler) as (origin, _):
        names = ("here", "gone", "mine", "top", "/route", ":~:text=x", "a=1")
        mail = page(*(f"{origin}/p#{name}" for name in names), "#nowhere")
        without = await run(*ALLOW, "--json", stdin=mail)
        code, out, _ = await run(*ALLOW, "--json", "--fragments", stdin=mail)

    broken = [link["url"].partition("#")[2] for link in json.loads(out)["links"] if link["verdict"] == "broken"]
    assert (without[0], code, broken) == (0, 1, ["gone", "nowhere"])


async def test_offline_nobody_is_asked():
    async with site(status(200)) as (origin, seen):
        fine = await run("--offline", stdin=page(f"{origin}/a"))
        bad = await run("--offline", "--json", stdin=page(f"{origin}/a", "http:/oops.example"))

    assert (fine[0], bad[0], seen) == (0, 1, [])
    assert json.loads(bad[1])["may_send"] is False
    assert [link["reason"] for link in json.loads(bad[1])["links"]] == ["offline", "malformed"]


async def test_dump_prints_what_would_be_checked():
    mail = page("https://a.example/1", "https://a.example/2", "mailto:a@example.com", "https://a.example/1#x")

    code, out, _ = await run("--dump", "--exclude", "/2$", stdin=mail)
    _, records, _ = await run("--dump", "--json", stdin=mail)

    assert (code, out.splitlines()) == (0, ["https://a.example/1", "https://a.example/1#x"])
    assert json.loads(records)[0]["places"][0]["line"] == 1


async def test_github_shows_findings_beside_their_lines(here):
    async with site(by_status) as (origin, _):
        (here / "a.html").write_bytes(page(f"{origin}/200", f"{origin}/404?100%", f"{origin}/999"))
        code, out, _ = await run(*ALLOW, "--format", "github", "a.html")

    error, warning, summary = out.splitlines()
    assert code == 1
    assert error.startswith(f"::error file=a.html,line=2,title=broken link::{origin}/404?100%25: not found (404)")
    assert warning.startswith(f"::warning file=a.html,line=3,title=unverifiable link::{origin}/999: ")
    assert summary.startswith("links: 1 fine, 1 broken, 1 unverifiable")


async def test_markdown_is_a_table_in_which_nothing_is_markup():
    async with site(by_status) as (origin, _):
        _, out, _ = await run(*ALLOW, "--format", "markdown", stdin=page(f"{origin}/404?|&lt;b>`"))

    rows = [line for line in out.splitlines() if line.startswith("| broken")]
    assert len(rows) == 1
    assert rows[0].count("|") == 5
    assert "<b>" not in rows[0]


def test_colours_are_for_terminals_that_want_them():
    def on_terminal(**environ):
        terminal, other = pty.openpty()
        command = [sys.executable, "-m", "linkrouter", "check", "--offline"]
        subprocess.run(
            command, input=page("http:/oops.example"), stdout=other, stderr=subprocess.DEVNULL, timeout=60,
            env={**os.environ, "TERM": "xterm", **environ},
        )  # fmt: skip
        os.close(other)
        shown = os.read(terminal, 100_000).decode()
        os.close(terminal)
        return shown

    assert "\x1b[31m" in on_terminal()
    assert "\x1b" not in on_terminal(NO_COLOR="1")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"http://127.0.0.1:1/a\n\nhttp://127.0.0.1:1/b\n", "urls"),
        (b"Update: our shop http://127.0.0.1:1/a moved\n\nand http://127.0.0.1:1/b\n", "text"),
    ],
)
async def test_no_link_is_lost_because_an_input_looks_like_a_mail(content, kind):
    _, out, _ = await run(*ALLOW, "--json", stdin=content)

    assert sorted(verdicts(out)) == ["a", "b"]
    assert json.loads(out)["inputs"][0]["kind"] == kind
