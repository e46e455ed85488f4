// npm `postmark`, unmodified: node ask.mjs HOST:PORT TOKEN TAG MESSAGE_ID
import { createRequire } from "node:module";
const { ServerClient, Errors } = createRequire(process.env.CLIENTS + "/")("postmark");
const [host, token, tag, messageId] = process.argv.slice(2);
const client = new ServerClient(token, { useHttps: false, requestHost: host });
const links = [];
let total = 0;
do {
  const page = await client.getMessageClicks({ tag, count: 500, offset: links.length });
  total = page.TotalCount;
  links.push(...page.Clicks.map((click) => click.OriginalLink));
} while (links.length < total);
const one = await client.getMessageClicksForSingleMessage(messageId);
const stranger = new ServerClient("nobody-knows-this-token", { useHttps: false, requestHost: host });
const refused = await stranger.getClickCounts().catch((error) => error);
const { Days: days, ...families } = await client.getClickBrowserUsage({ tag });
const platforms = await client.getClickPlatformUsage({ tag });
const locations = await client.getClickLocation({ tag });
const counts = await client.getClickCounts({ tag });
const overview = await client.getOutboundOverview({ tag });
console.log(JSON.stringify({
  list: links.length,
  one: one.Clicks.length,
  families,
  platforms: { Desktop: platforms.Desktop, Mobile: platforms.Mobile },
  locations: { HTML: locations.HTML, Text: locations.Text },
  clicks: counts.Clicks,
  unique: counts.Unique,
  sent: overview.Sent,
  total: overview.TotalClicks,
  refused: refused instanceof Errors.InvalidAPIKeyError,
}));
