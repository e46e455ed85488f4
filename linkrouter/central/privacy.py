"""Whose data it is: erasure, consent that was withheld, and all that is kept of a person.

Promise: what is taken away is gone when the answer comes, and figures stay as they were.
"""

from dataclasses import dataclass

from linkrouter.central.answers import ErasedRows, ExportedMessage, PersonalData, WithheldState
from linkrouter.central.clicks import click_record
from linkrouter.central.messages import Messages
from linkrouter.central.models import ErasureRecord, ExportQuery, WithheldQuery, WithheldRecord
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.questions import ClickFilter, Erasure, MessageFilter
from linkrouter.central.store.records import FoundMessage, MessagePosition, Position
from linkrouter.web.problems import Fault, Refusal
from linkrouter.web.tokens import Caller

__all__ = ["Privacy"]

PAGE = 1000
ONE_OF_TWO = Refusal(422, Fault("give either recipient or message_id"))


@dataclass(frozen=True, slots=True)
class Privacy:
    """What the answers need: the store, and what describes messages."""

    store: CentralStore
    messages: Messages

    async def erase(self, record: ErasureRecord, caller: Caller) -> ErasedRows | Refusal:
        """Take away what points to a recipient, or to that of one message. Clicks to come are only counted."""
        recipient, message_id = record.get("recipient"), record.get("message_id")
        if (recipient is None) == (message_id is None):
            return ONE_OF_TWO
        if not caller.sees(record.get("tenant")):
            return Refusal(403)
        erased = await self.store.erase(Erasure(recipient, message_id, caller.narrow(record.get("tenant"))))
        return {"messages": erased.messages, "links": erased.links, "clicks": erased.clicks}

    async def withhold(self, record: WithheldRecord, caller: Caller) -> ErasedRows | Refusal:
        """Note that a recipient withheld consent: erased as above, and so is what messages to come would tell."""
        if not caller.sees(record.get("tenant")):
            return Refusal(403)
        tenant = caller.narrow(record.get("tenant"))
        erased = await self.store.erase(Erasure(record["recipient"], None, tenant, withhold=True))
        return {"messages": erased.messages, "links": erased.links, "clicks": erased.clicks}

    async def release(self, query: WithheldQuery, caller: Caller) -> WithheldState | Refusal:
        """Note that a recipient gave consent again, for messages to come; 404 when it was not withheld."""
        if not caller.sees(query.get("tenant")):
            return Refusal(403)
        released = await self.store.release(query["recipient"], caller.narrow(query.get("tenant")))
        return {"withheld": False} if released else Refusal(404)

    async def export(self, query: ExportQuery, caller: Caller) -> PersonalData | Refusal:
        """Give all that is kept of a recipient: messages, links, and every click."""
        if not caller.sees(query.get("tenant")):
            return Refusal(403)
        tenant = caller.narrow(query.get("tenant"))
        asked = MessageFilter(recipient=query["recipient"], tenant=tenant)
        messages: list[ExportedMessage] = []
        after: MessagePosition | None = None
        while found := await self.store.find_messages(asked, after, PAGE):
            messages += [await self._export(message) for message in found]
            after = MessagePosition(found[-1].sent_at, found[-1].seq)
        withheld = await self.store.is_withheld(query["recipient"], tenant)
        return {"recipient": query["recipient"], "withheld": withheld, "messages": messages}

    async def _export(self, message: FoundMessage) -> ExportedMessage:
        asked = ClickFilter(message_id=message.message_id, tenant=message.tenant)
        details = await self.messages.describe(message, asked)
        clicks = []
        after: Position | None = None
        while found := await self.store.find_clicks(asked, after, PAGE):
            clicks += [click_record(one) for one in found]
            after = Position(found[-1].click.clicked_at, found[-1].click.id)
        return {"message": details["message"], "links": details["links"], "clicks": clicks}
