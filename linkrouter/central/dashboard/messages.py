"""Messages: a page of them, one with its links and clicks, and the mail itself for the click map."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from linkrouter.central.answers import ClickBreakdown
from linkrouter.central.clicks import list_clicks
from linkrouter.central.dashboard.overview import read_filters
from linkrouter.central.dashboard.templates import show
from linkrouter.central.fields import parse_cursor
from linkrouter.central.figures_api import Statistics
from linkrouter.central.messages import Messages
from linkrouter.central.models import BreakdownQuery, ClickQuery, MessageQuery, OneMessageQuery, StatsQuery
from linkrouter.central.store.questions import MessageFilter
from linkrouter.web.pages import Html, Redirect, Visitor
from linkrouter.web.problems import Fault, Refusal

__all__ = ["MessagePages"]

MESSAGES_ON_A_PAGE = 50
MAILING_LINKS = 50  # of a mailing, shown at once
CLICKS = 200  # of one message, shown at once

# The mail is somebody's HTML: no script of it runs, nothing of it is fetched, and only our page may frame it. Our page
# measures where its links are, which `allow-same-origin` lets it; `allow-scripts` must never stand beside that.
MAIL_POLICY = (
    "sandbox allow-same-origin; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'"
)


@dataclass(frozen=True, slots=True)
class MessagePages:
    """What the pages need."""

    messages: Messages
    statistics: Statistics

    async def list(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Show messages, those sent last first."""
        asked = read_filters(fields)
        if isinstance(asked, Refusal):
            return asked
        query: dict[str, Any] = {**asked, "limit": MESSAGES_ON_A_PAGE}
        if fields.get("cursor"):
            try:
                query["cursor"] = parse_cursor(fields["cursor"])
            except ValueError:
                return Refusal(422, Fault("cursor must be the next_cursor of an earlier page"))
        found = await self.messages.page(cast(MessageQuery, query), visitor.caller)
        if isinstance(found, Refusal):
            return found
        kept = {name: fields[name] for name in ("tag", "recipient", "tenant") if fields.get(name)}
        links = await self._links(asked, visitor) if fields.get("tag") else None
        return show("messages.html", visitor, "messages", found=found, fields=kept, links=links)

    async def _links(self, asked: StatsQuery, visitor: Visitor) -> ClickBreakdown | None:
        """Give the links of a whole mailing, most clicks first: of all mails with the tag, whatever page is shown."""
        if asked.keys() - {"tag", "tenant"} or not visitor.caller.may("stats:read"):
            return None
        question = cast(BreakdownQuery, {**asked, "dimension": "url", "limit": MAILING_LINKS})
        found = await self.statistics.breakdown(question, visitor.caller)
        return None if isinstance(found, Refusal) else found

    async def show(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Show one message: its links with their clicks, who clicked, and where in the mail."""
        query = _one(fields)
        if isinstance(query, Refusal):
            return query
        found = await self.messages.show(query, visitor.caller)
        if isinstance(found, Refusal):
            return found
        clicks = await list_clicks(
            self.messages.store,
            cast(
                ClickQuery, {"message_id": query["message_id"], "tenant": found["message"]["tenant"], "limit": CLICKS}
            ),
            visitor.caller,
        )
        if isinstance(clicks, Refusal):
            return clicks
        links = [link for link in found["links"] if not link["trap"]]
        return show("message.html", visitor, "messages", message=found["message"], links=links, clicks=clicks)

    async def mail(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Give the mail itself, for a frame in which nothing of it can act."""
        query = _one(fields)
        if isinstance(query, Refusal):
            return query
        tenant = visitor.caller.narrow(query.get("tenant"))
        found = await self.messages.store.find_messages(MessageFilter(query["message_id"], tenant=tenant), None, 2)
        html = await self.messages.store.message_html(found[0].seq) if len(found) == 1 else None
        return Refusal(404) if html is None else Html(html, frame_policy=MAIL_POLICY)


def _one(fields: Mapping[str, str]) -> OneMessageQuery | Refusal:
    asked = read_filters({name: fields[name] for name in ("tenant",) if name in fields})
    if isinstance(asked, Refusal):
        return asked
    if not fields.get("id"):
        return Refusal(404)
    return cast(OneMessageQuery, {**asked, "message_id": fields["id"]})
