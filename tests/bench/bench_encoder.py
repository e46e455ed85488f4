"""What the encoder adds to a mail, against parsing and serialising the same HTML with lxml.

    python tests/bench/bench_encoder.py [--rounds N]

Everything is measured in the same run, in interleaved rounds; the figures are medians. Every document is built here.
"""

import argparse
import base64
import quopri
import statistics
import time
from collections.abc import Callable

import lxml.html

from linkrouter.encoder import Encoder
from linkrouter.link import Keyring

BOUNDARY = "=_5f2c1d9e8b7a4036_multipart_alternative"
HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>News of the week</title>
<!--[if mso]><xml><o:OfficeDocumentSettings><o:PixelsPerInch>96</o:PixelsPerInch></o:OfficeDocumentSettings></xml>
<![endif]-->
<style>@media (max-width:600px){.col{width:100%!important}.pad{padding:12px 16px!important}}</style></head>
<body style="margin:0;padding:0;background:#f4f5f7;font-family:Helvetica,Arial,sans-serif">
"""
ROW = """<table role="presentation" width="600" cellpadding="0" cellspacing="0" style="background:#fff">
 <tr><td class="pad" style="padding:24px 32px;font-size:16px;line-height:24px;color:#333333">
  <h2 style="margin:0 0 8px;font-size:20px">{title}</h2>
{text}  </td></tr>
 <tr><td align="center" style="padding:0 32px 24px">{link}</td></tr>
</table>
"""
LINK = '<a href="{url}" style="color:#ffffff;background:#2456e6;padding:12px 24px;text-decoration:none">Read more</a>'
IMAGE_LINK = (
    '<a href="{url}"><img src="https://img.example.com/{n}.png" width="536" height="240" alt="Picture" border="0"></a>'
)
SENTENCE = "Our shop has new things this week, and some of the old ones cost less than they did.&nbsp;"


def newsletter(octets: int, links: int) -> str:
    """Write a newsletter of about *octets* bytes with *links* links, laid out in tables as newsletters are."""
    tail = "</body></html>\n"
    bare = len(HEAD) + len(tail) + sum(len(_row(number, "")) for number in range(links))
    filling = max(octets - bare, 0) // links
    rows = []
    for number in range(links):
        paragraphs = max(round(filling / (3 * len(SENTENCE) + 50)), 0)
        text = f'   <p style="margin:0 0 12px;color:#444444">{SENTENCE * 3}</p>\n' * paragraphs
        rows.append(_row(number, text))
    return HEAD + "".join(rows) + tail


def _row(number: int, text: str) -> str:
    url = f"https://www.example.com/offers/{number}/summer-shoes"
    if number % 3 == 1:
        url += f"?utm_source=newsletter&amp;utm_medium=email&amp;utm_campaign=week-{number}"
    link = IMAGE_LINK if number % 4 == 2 else LINK
    return ROW.format(title=f"Offer {number}", text=text, link=link.format(url=url, n=number))


def mail(html: str, encoding: str) -> bytes:
    """Wrap *html* as the last part of a `multipart/alternative` with the transfer *encoding*."""
    octets = html.encode().replace(b"\n", b"\r\n")
    if encoding == "base64":
        octets = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        octets = quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    head = (
        "From: Shop <news@example.com>\r\nTo: Reader <reader@example.org>\r\nSubject: News of the week\r\n"
        "Message-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/alternative; boundary="{BOUNDARY}"\r\n\r\n'
        f"--{BOUNDARY}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThe news is in the HTML part.\r\n\r\n"
        f"--{BOUNDARY}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    )
    return head.encode() + octets + f"\r\n--{BOUNDARY}--\r\n".encode()


def median_ms(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Run every task once a round and give the median time of each in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for _ in range(rounds):
        for name, task in tasks.items():
            started = time.perf_counter()
            task()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) * 1e3 for name, values in times.items()}


def main() -> None:
    """Measure both sizes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    encoder = Encoder("https://click.example.com", Keyring.create())
    print(f"{'document':<28}{'bytes':>8}{'links':>7}{'median ms':>11}{'x lxml':>8}")
    for octets, links in ((10_000, 12), (100_000, 60)):
        html = newsletter(octets, links)
        contents: dict[str, bytes] = {"HTML alone": html.encode()}
        contents |= {f"mail, {name}": mail(html, name) for name in ("8bit", "quoted-printable", "base64")}
        tasks: dict[str, Callable[[], object]] = {
            name: lambda raw=raw, name=name: (
                encoder.rewrite_html(raw) if name == "HTML alone" else encoder.rewrite_message(raw)
            )
            for name, raw in contents.items()
        }
        octets_in = contents["HTML alone"]
        tasks["lxml, HTML alone"] = lambda raw=octets_in: lxml.html.tostring(lxml.html.fromstring(raw))
        took = median_ms(tasks, rounds)
        for name, ms in took.items():
            size = len(contents.get(name, html))
            print(f"{name:<28}{size:>8}{links:>7}{ms:>11.3f}{ms / took['lxml, HTML alone']:>8.2f}")


if __name__ == "__main__":
    main()
