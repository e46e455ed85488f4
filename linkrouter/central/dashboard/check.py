"""The check's page, which comes from elsewhere: in the frame for who may check, and as it is for everybody else."""

from collections.abc import Mapping
from dataclasses import dataclass

from linkrouter.central.dashboard.templates import show
from linkrouter.web.pages import Html, Redirect, Visitor
from linkrouter.web.problems import Refusal

__all__ = ["CHECK_PATH", "CheckPage"]

CHECK_PATH = "/check"
_BEGIN, _END = "<main>", "</main>"


@dataclass(frozen=True, slots=True)
class CheckPage:
    """The whole *page* as text; what stands in its `main` is what moves into the frame."""

    page: str

    async def show(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Show the page on which an author watches a check."""
        if not visitor.caller.may("checks"):
            return Html(self.page)
        inside = self.page.partition(_BEGIN)[2].rpartition(_END)[0]
        return show("check.html", visitor, "check", inside=inside)
