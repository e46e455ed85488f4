"""PyPI `postmarker`, unmodified: it has statistics and no list of clicks. HOST:PORT TOKEN TAG"""

import json
import sys

from postmarker.core import PostmarkClient
from postmarker.exceptions import ClientError

host, token, tag = sys.argv[1:4]
client = PostmarkClient(server_token=token)
client.root_api_url = f"http://{host}/"
stranger = PostmarkClient(server_token="nobody-knows-this-token")
stranger.root_api_url = client.root_api_url
try:
    stranger.stats.clicks()
    refused = False
except ClientError as exc:
    refused = exc.error_code == 10
families = client.stats.browserfamilies(tag=tag)
families.pop("Days")
platforms, locations = client.stats.clicks_platforms(tag=tag), client.stats.location(tag=tag)
counts, overview = client.stats.clicks(tag=tag), client.stats.overview(tag=tag)
print(
    json.dumps(
        {
            "families": families,
            "platforms": {name: platforms[name] for name in ("Desktop", "Mobile")},
            "locations": {name: locations[name] for name in ("HTML", "Text")},
            "clicks": counts["Clicks"],
            "unique": counts["Unique"],
            "sent": overview["Sent"],
            "total": overview["TotalClicks"],
            "refused": refused,
        }
    )
)
