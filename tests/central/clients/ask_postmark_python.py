"""PyPI `postmark-python`, unmodified. HOST:PORT TOKEN TAG MESSAGE_ID"""

import asyncio
import json
import sys

from postmark import ServerClient
from postmark.exceptions import InvalidAPIKeyException


async def main(host, token, tag, message_id):
    client = ServerClient(token, base_url=f"http://{host}")
    stranger = ServerClient("nobody-knows-this-token", base_url=f"http://{host}", retries=0)
    try:
        await stranger.stats.click_counts()
        refused = False
    except InvalidAPIKeyException:
        refused = True
    clicks, total = [], 1
    while len(clicks) < total:
        page = await client.outbound.list_clicks(tag=tag, count=500, offset=len(clicks))
        clicks, total = clicks + page.items, page.total
    chrome = await client.outbound.list_clicks(tag=tag, client_family="Chrome")
    families = await client.stats.browser_usage(tag=tag)
    assert chrome.total == families.model_extra["Chrome"], (chrome.total, families.model_extra)
    platforms = await client.stats.browser_platform_usage(tag=tag)
    locations = await client.stats.click_location(tag=tag)
    counts, overview = await client.stats.click_counts(tag=tag), await client.stats.overview(tag=tag)
    found = {
        "list": len(clicks),
        "one": (await client.outbound.list_message_clicks(message_id)).total,
        "families": families.model_extra,
        "platforms": {"Desktop": platforms.desktop, "Mobile": platforms.mobile},
        "locations": {"HTML": locations.html, "Text": locations.text},
        "clicks": counts.clicks,
        "unique": counts.unique,
        "sent": overview.sent,
        "total": overview.total_clicks,
        "refused": refused,
    }
    print(json.dumps(found))


asyncio.run(main(*sys.argv[1:]))
