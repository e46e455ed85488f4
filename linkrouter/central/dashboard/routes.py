"""Every page of central, once, and the files they load."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files

from linkrouter.central.dashboard.check import CHECK_PATH, CheckPage
from linkrouter.central.dashboard.messages import MessagePages
from linkrouter.central.dashboard.overview import Overview
from linkrouter.central.dashboard.people import PeoplePages
from linkrouter.central.dashboard.reports import Reports
from linkrouter.central.dashboard.sign_in import SignIn
from linkrouter.central.dashboard.templates import render_refusal, show
from linkrouter.central.dashboard.webhooks import WEBHOOKS_PATH, WebhookPages
from linkrouter.central.figures_api import Statistics
from linkrouter.central.labels import Insight
from linkrouter.central.messages import Messages
from linkrouter.central.privacy import Privacy
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.watch.routes import WatchApi
from linkrouter.central.webhooks.delivery import WebhookDelivery
from linkrouter.central.webhooks.endpoints import WebhooksApi
from linkrouter.central.webhooks.posting import Poster
from linkrouter.web.files import StaticFile
from linkrouter.web.pages import Html, Page, Redirect, Visitor
from linkrouter.web.problems import Refusal
from linkrouter.web.serving import TokenBox
from linkrouter.web.sessions import Sessions

__all__ = ["dashboard_files", "dashboard_pages"]

_SCRIPT = "text/javascript"
FILES = {
    "dashboard.css": "text/css",
    "uPlot.min.css": "text/css",
    "uPlot.iife.min.js": _SCRIPT,
    **dict.fromkeys(("page.js", "chart.js", "click-map.js", "keys.js", "live.js", "refresh.js", "words.js"), _SCRIPT),
}


def dashboard_files() -> tuple[StaticFile, ...]:
    """Give the scripts and styles of the pages."""
    static = files(__package__).joinpath("static")
    return tuple(
        StaticFile(f"/dashboard/static/{name}", kind, static.joinpath(name).read_bytes())
        for name, kind in FILES.items()
    )


def dashboard_pages(
    store: CentralStore,
    insight: Insight,
    min_cell: int,
    sessions: Sessions,
    watch: WatchApi,
    check_page: str = "",
    delivery: WebhookDelivery | None = None,
) -> Callable[[TokenBox], tuple[Page, ...]]:
    """Give what makes the pages, once the tokens of the moment are known; *check_page* is the check's own."""
    messages, statistics = Messages(store, insight), Statistics(store, insight, min_cell)
    overview, reports = Overview(statistics), Reports(store, watch)
    message_pages, people = MessagePages(messages, statistics), PeoplePages(Privacy(store, messages))
    hooks = WebhookPages(WebhooksApi(store, delivery or WebhookDelivery(store, Poster())))

    def pages(box: TokenBox) -> tuple[Page, ...]:
        page, sign_in = partial(Page, refused=render_refusal), SignIn(box, sessions)
        home = "/dashboard"
        return (
            page(operation="goHome", path="/", answer=_go_home),
            page(operation="askToken", path="/sign-in", answer=sign_in.ask),
            page(operation="signIn", path="/sign-in", method="POST", answer=sign_in.begin),
            page(operation="signOut", path="/sign-out", method="POST", answer=sign_in.end),
            page(operation="showOverview", path=home, scope="stats:read", answer=overview.show),
            page(operation="showMessages", path=f"{home}/messages", scope="clicks:read", answer=message_pages.list),
            page(operation="showMessage", path=f"{home}/message", scope="clicks:read", answer=message_pages.show),
            page(operation="showMail", path=f"{home}/mail", scope="clicks:read", answer=message_pages.mail),
            page(operation="showLive", path=f"{home}/live", scope="clicks:read", answer=_show_live),
            page(operation="showRouters", path=f"{home}/routers", scope="admin", answer=reports.routers),
            page(operation="showTakeBacks", path=f"{home}/take-backs", scope="takebacks", answer=reports.take_backs),
            page(operation="showWatched", path=f"{home}/watched", scope="stats:read", answer=reports.watched),
            *_webhook_pages(partial(page, scope="webhooks"), hooks),
            page(operation="showLosses", path=f"{home}/losses", scope="stats:read", answer=reports.losses),
            page(operation="askPerson", path=f"{home}/people", scope="privacy", answer=people.ask),
            page(
                operation="exportForPerson",
                path=f"{home}/people/export",
                method="POST",
                scope="privacy",
                answer=people.export,
            ),
            *((page(operation="showCheck", path=CHECK_PATH, answer=CheckPage(check_page).show),) if check_page else ()),
            page(operation="actForPerson", path=f"{home}/people", method="POST", scope="privacy", answer=people.act),
        )

    return pages


def _webhook_pages(page: Callable[..., Page], hooks: WebhookPages) -> tuple[Page, ...]:
    one = WEBHOOKS_PATH.removesuffix("s")
    return (
        page(operation="showWebhooks", path=WEBHOOKS_PATH, answer=hooks.list),
        page(operation="makeWebhook", path=WEBHOOKS_PATH, method="POST", answer=hooks.add),
        page(operation="showWebhook", path=one, answer=hooks.show),
        page(operation="actOnWebhook", path=one, method="POST", answer=hooks.act),
    )


async def _go_home(fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
    return Redirect("/dashboard")


async def _show_live(fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
    return show("live.html", visitor, "live")
