"""From a checked query to what is asked of the store."""

from linkrouter.central.models import ClickFilterQuery
from linkrouter.central.store.questions import ClickFilter
from linkrouter.web.problems import Fault, Refusal
from linkrouter.web.tokens import Caller

__all__ = ["DEFAULT_PAGE", "TABLE_PAGE", "TOO_LARGE", "read_filter"]

DEFAULT_PAGE = 100  # clicks or messages
TABLE_PAGE = 1000  # read at once for a table

TOO_LARGE = Refusal(
    422, Fault("this would count too many clicks one by one: narrow since and until, or leave out a filter")
)


def read_filter(query: ClickFilterQuery, caller: Caller, robots: str) -> ClickFilter | Refusal:
    """Give what to look for; a tenant's token asks for that tenant alone. *robots* is what no word about them means."""
    if not caller.sees(query.get("tenant")):
        return Refusal(403)
    since, until = query.get("since"), query.get("until")
    if since is not None and until is not None and until < since:
        return Refusal(422, Fault("until must not be before since"))
    return ClickFilter(
        link_id=query.get("link_id"),
        message_id=query.get("message_id"),
        tag=query.get("tag"),
        tenant=caller.narrow(query.get("tenant")),
        since=since,
        until=until,
        recipient=query.get("recipient"),
        url=query.get("url"),
        part=query.get("part"),
        browser=query.get("browser"),
        os=query.get("os"),
        platform=query.get("platform"),
        country=query.get("country"),
        robots=query.get("robots", robots),
    )
