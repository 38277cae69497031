"""The pages people reach from a message. GET shows, POST acts: a link scanner can change nothing (RFC 8058, threat T4)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from lifecycle import engagements, links, opt_outs, referrals, rendering, settings, vouchers
from lifecycle.errors import LifecycleError
from lifecycle.receiver.limits import MAX_FORM_BYTES, Limits, Refused
from lifecycle.receiver.visitors import is_machine, network_of
from lifecycle.receiver.webhooks import in_transaction

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

log = logging.getLogger(__name__)

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
}
_ANSWER_KINDS = {"answer", "entry"}

Work = Callable[["Connection", "Row[Any]"], Response]


class Pages:
    """Links, landing pages, unsubscribing and preferences."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    # --- links and landing pages --------------------------------------------------------------------------------------

    async def open_link(self, request: Request) -> Response:
        """Count who came, and lead on or show the page."""
        machine = is_machine(request.method, request.headers)
        network = links.keyed_hash(f"network {network_of(request.client.host)}") if request.client else None

        def work(connection: Connection, link: Row[Any]) -> Response:
            engagements.record_click(connection, link, is_machine=machine, network_hash=network)
            if link.target_url:
                return RedirectResponse(link.target_url, status_code=302, headers=HEADERS)
            return _landing_page(connection, link)

        return await self._with_link(request, work)

    async def answer(self, request: Request) -> Response:
        """Keep what a form of a landing page says."""
        form = await self._form(request)
        kind = dict(form).get("kind")
        if kind not in _ANSWER_KINDS:
            raise Refused(400)

        def work(connection: Connection, link: Row[Any]) -> Response:
            properties = {name: value for name, value in form if name != "kind"}
            engagements.record(connection, link, kind, properties)
            return _landing_page(connection, link, is_answered=True)

        return await self._with_link(request, work)

    async def welcome(self, request: Request) -> Response:
        """Lead a friend to the shop with the code they came by. Nothing is kept: no cookie, no row (F-01)."""
        self.limits.require_guess(request)
        typed = request.path_params["code"]
        is_known = await self.limits.in_thread(lambda: in_transaction(lambda one: referrals.is_known(one, typed)))
        if not is_known:
            self.limits.count_guess(request)
            return unknown_link()
        target = links.referral_target(vouchers.code_key(typed))
        return RedirectResponse(target, status_code=302, headers=HEADERS)

    # --- unsubscribing and preferences --------------------------------------------------------------------------------

    async def show_unsubscribe(self, request: Request) -> Response:
        """Ask whether it is meant."""
        return await self._with_link(request, _unsubscribe_page, is_token=True)

    async def unsubscribe(self, request: Request) -> Response:
        """Act at once, as often as it is asked."""
        form = dict(await self._form(request))
        # Mail clients post `List-Unsubscribe=One-Click` without any context; the page's own button posts without it.
        source = "one_click" if form.get("List-Unsubscribe") == "One-Click" else "unsubscribe_page"

        def work(connection: Connection, link: Row[Any]) -> Response:
            engagements.unsubscribe(connection, link, source)
            return _unsubscribe_page(connection, link, is_done=True)

        return await self._with_link(request, work, is_token=True)

    async def show_preferences(self, request: Request) -> Response:
        """Show each channel as it is switched."""
        return await self._with_link(request, _preferences_page, is_token=True)

    async def set_preferences(self, request: Request) -> Response:
        """Switch the channels that the form showed; a form that showed none changes nothing."""
        form = await self._form(request)
        shown = [value for name, value in form if name == "shown"]
        wanted = {value for name, value in form if name == "on"}

        def work(connection: Connection, link: Row[Any]) -> Response:
            for channel in sorted({"email", "sms"} & set(shown)):
                opt_outs.set_channel_preference(
                    connection, link.message_id, channel, is_on=channel in wanted, source="preference_page"
                )
            return _preferences_page(connection, link, is_done=bool(shown))

        return await self._with_link(request, work, is_token=True)

    # --- what they share ----------------------------------------------------------------------------------------------

    async def _with_link(self, request: Request, work: Work, *, is_token: bool = False) -> Response:
        """Look the code up and work in one transaction; a code of the other kind is as unknown as any."""
        self.limits.require_guess(request)

        def found(connection: Connection) -> Response | None:
            link = engagements.find_link(connection, request.path_params["code"])
            if link is None or (link.name == links.UNSUBSCRIBE) is not is_token:
                return None
            return work(connection, link)

        answer = await self.limits.in_thread(lambda: in_transaction(found))
        if answer is None:
            self.limits.count_guess(request)
        return answer or unknown_link()

    async def _form(self, request: Request) -> list[tuple[str, str]]:
        """The fields of a form.

        Raises:
            Refused: it is larger than any form of ours.
        """
        body = await self.limits.read_body(request, MAX_FORM_BYTES)
        # Postgres stores no NUL, neither in a name nor in a value.
        text = body.decode("utf-8", errors="replace").replace("\x00", "").replace("%00", "")
        try:
            return parse_qsl(text, max_num_fields=engagements.MAX_FIELDS + 5)
        except ValueError:
            raise Refused(413) from None


def _landing_page(connection: Connection, link: Row[Any], *, is_answered: bool = False) -> Response:
    """The page behind a link. What the person did is kept even when the page is broken."""
    try:
        return _page(engagements.landing_page(connection, link, is_answered=is_answered))
    except (rendering.UnrenderableError, LifecycleError) as error:
        log.error("the landing page of %s/%s is broken: %s", link.journey, link.name, error)
        return unknown_link(500)


def _unsubscribe_page(connection: Connection, link: Row[Any], is_done: bool = False) -> Response:
    values = {"channel": link.channel, "is_done": is_done, "preferences_path": f"../p/{_token(link)}"}
    return _words("pages/unsubscribe.page.html", values, engagements.person(connection, link).locale)


def _preferences_page(connection: Connection, link: Row[Any], is_done: bool = False) -> Response:
    channels = opt_outs.channel_preferences(connection, link.message_id)
    values = {"channels": [row._mapping for row in channels], "is_done": is_done}
    return _words("pages/preferences.page.html", values, engagements.person(connection, link).locale)


def _token(link: Row[Any]) -> str:
    return links.code(str(link.message_id), links.UNSUBSCRIBE)


def _words(name: str, values: dict[str, Any], locale: str | None = None, status: int = 200) -> Response:
    return _page(rendering.render_page(name, {**values, "sender_name": settings.sender_name()}, locale), status)


def _page(html: str, status: int = 200) -> Response:
    return HTMLResponse(html, status_code=status, headers=HEADERS)


def unknown_link(status: int = 404) -> Response:
    """The page of every code that leads nowhere."""
    return _words("pages/unknown_link.page.html", {}, status=status)
