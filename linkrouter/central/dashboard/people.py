"""People's rights: find a recipient, see all that is kept, withhold, erase; what will go is shown first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic_core import to_json

from linkrouter.central.dashboard.templates import show
from linkrouter.central.models import ErasureRecord, ExportQuery, WithheldQuery, WithheldRecord
from linkrouter.central.privacy import Privacy
from linkrouter.web.pages import Download, Html, Redirect, Visitor
from linkrouter.web.problems import Fault, Refusal

__all__ = ["PeoplePages"]

MAX_RECIPIENT = 320
ACTIONS = ("erase", "withhold", "release")


@dataclass(frozen=True, slots=True)
class PeoplePages:
    """What the pages need."""

    privacy: Privacy

    async def ask(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Show the form."""
        return show("people.html", visitor, "people", recipient="", found=None, done=None, fault="")

    async def act(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Show what is kept of a recipient, or do what was confirmed; the address never stands in a URL."""
        recipient, action = fields.get("recipient", "").strip(), fields.get("action", "find")
        if not recipient or len(recipient) > MAX_RECIPIENT or not recipient.isprintable():
            return show("people.html", visitor, "people", recipient=recipient, found=None, done=None, fault="recipient")
        done: dict[str, Any] | None = None
        asked = {"recipient": recipient}
        if action in ACTIONS:
            if not fields.get("confirmed"):
                return Refusal(422, Fault("confirmed must be checked"))
            answer = await self._do(action, asked, visitor)
            if isinstance(answer, Refusal):
                return answer
            done = {"action": action, **answer}
        found = await self.privacy.export(cast(ExportQuery, asked), visitor.caller)
        if isinstance(found, Refusal):
            return found
        counts = {
            "messages": len(found["messages"]),
            "links": sum(len(message["links"]) for message in found["messages"]),
            "clicks": sum(len(message["clicks"]) for message in found["messages"]),
        }
        return show(
            "people.html",
            visitor,
            "people",
            recipient=recipient,
            found={**found, "counts": counts},
            done=done,
            fault="",
        )

    async def export(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Download | Redirect | Refusal:
        """Give all that is kept of a recipient as a file."""
        recipient = fields.get("recipient", "").strip()
        if not recipient or len(recipient) > MAX_RECIPIENT:
            return Refusal(422, Fault("recipient must be an address"))
        found = await self.privacy.export(cast(ExportQuery, {"recipient": recipient}), visitor.caller)
        return found if isinstance(found, Refusal) else Download("export.json", to_json(found, indent=2))

    async def _do(self, action: str, asked: dict[str, Any], visitor: Visitor) -> dict[str, Any] | Refusal:
        if action == "erase":
            erased = await self.privacy.erase(cast(ErasureRecord, asked), visitor.caller)
        elif action == "withhold":
            erased = await self.privacy.withhold(cast(WithheldRecord, asked), visitor.caller)
        else:
            released = await self.privacy.release(cast(WithheldQuery, asked), visitor.caller)
            return released if isinstance(released, Refusal) and released.status != 404 else {}
        return erased if isinstance(erased, Refusal) else dict(erased)
