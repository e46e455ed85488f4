"""Signing in and out: a token is exchanged for a session, once, in the body of a form."""

from collections.abc import Mapping
from dataclasses import dataclass

from linkrouter.central.dashboard.templates import render
from linkrouter.web.pages import Html, Redirect, Visitor
from linkrouter.web.problems import Refusal
from linkrouter.web.serving import TokenBox
from linkrouter.web.sessions import Sessions
from linkrouter.web.tokens import digest_token

__all__ = ["SignIn"]

HOME = "/dashboard"


@dataclass(frozen=True, slots=True)
class SignIn:
    """What signing in needs: the tokens of the moment, and the sessions."""

    box: TokenBox
    sessions: Sessions

    async def ask(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Show the form; who is signed in already goes on."""
        if visitor.caller.scopes:
            return Redirect(_next(fields))
        return Html(render("sign-in.html", visitor, "", fault="", next=_next(fields)))

    async def begin(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Begin a session for a token that is known and not a router's."""
        if self.sessions.is_held():
            return Html(render("sign-in.html", visitor, "", fault="held", next=_next(fields)), 429)
        token = fields.get("token", "").strip()
        caller = self.box.tokens.find_caller(token)
        if caller is None or caller.scopes == {"clicks:write"}:
            self.sessions.note_failure()
            return Html(render("sign-in.html", visitor, "", fault="unknown", next=_next(fields)), 401)
        return Redirect(_next(fields), cookie=self.sessions.begin(digest_token(token)))

    async def end(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """End this session, or all sessions of its token."""
        if fields.get("everywhere"):
            self.sessions.end_all(visitor.cookie)
        else:
            self.sessions.end(visitor.cookie)
        return Redirect("/sign-in", cookie="")


def _next(fields: Mapping[str, str]) -> str:
    """Give the page to go on to: one of ours, whatever was asked for."""
    wanted = fields.get("next", HOME)
    ours = wanted.startswith((HOME, "/check")) and "\\" not in wanted and "//" not in wanted
    return wanted if ours and wanted.isprintable() and wanted.isascii() else HOME
