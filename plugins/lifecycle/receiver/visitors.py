"""Who opens a link: a person, or a program that follows every link of a message (reliability §4)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

# Mail gateways, link previews of messengers, crawlers and command line clients say who they are.
_PROGRAMS = (
    "bot", "crawl", "spider", "preview", "scanner", "proofpoint", "mimecast", "barracuda", "safelinks",
    "facebookexternalhit", "whatsapp", "slackbot", "telegrambot", "skypeuripreview", "discordbot", "googleimageproxy",
    "headlesschrome", "curl/", "wget/", "python-", "go-http-client", "okhttp", "java/", "apache-httpclient",
)  # fmt: skip
_PREFETCH_HEADERS = ("sec-purpose", "purpose", "x-moz", "x-purpose")


def is_machine(method: str, headers: Mapping[str, str]) -> bool:
    """Whether an opened link says nothing about a person: HEAD, a prefetch, or a program by its own name."""
    if method != "GET":
        return True
    if any(
        "prefetch" in headers.get(name, "").lower() or "preview" in headers.get(name, "").lower()
        for name in _PREFETCH_HEADERS
    ):
        return True
    agent = headers.get("user-agent", "").lower()
    return not agent or any(program in agent for program in _PROGRAMS)


def network_of(host: str) -> str:
    """The network an address belongs to: its first 24 bits, of IPv6 its first 48; what is no address is its own."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))
