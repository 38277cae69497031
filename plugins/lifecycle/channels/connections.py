"""Connections that tell "it never left" from "no answer came back", for the two HTTP libraries the SDKs are built on.

The difference decides whether a message may be sent again. Both libraries blur it: a timeout while connecting looks
like one while waiting for the answer, and a TLS failure like any other error.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.request
from email.message import Message
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
import urllib3.connection
import urllib3.exceptions
import urllib3.util
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from lifecycle.channels import MOST_AT_ONCE
from lifecycle.channels.accounts import is_loopback
from lifecycle.errors import LifecycleError


class NeverConnectedError(OSError, urllib3.exceptions.HTTPError):
    """The connection failed before a byte of the message was written: name, refusal, timeout, proxy or TLS."""


def opener(host: str) -> urllib.request.OpenerDirector:
    """How urllib reaches a provider: no redirects, and no proxy to this machine itself."""
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects(), _Http(), _Https()]
    if is_loopback(host):
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        try:
            super().connect()
        except OSError as error:
            raise NeverConnectedError from error


class _TlsConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        try:
            super().connect()
        except OSError as error:
            raise NeverConnectedError from error


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self) -> None:
        super().__init__()
        self._certificates = ssl.create_default_context()

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_TlsConnection, req, context=self._certificates)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Message, newurl: str) -> None:
        """Refuse: the API key would go along."""


def pool(host: str, timeout_seconds: float) -> urllib3.PoolManager:
    """How urllib3 reaches a provider: connections kept alive for many threads, no redirects, nothing ever sent twice.

    Proxies and trusted certificates are those of urllib: `https_proxy`, `no_proxy`, `SSL_CERT_FILE`.

    Raises:
        LifecycleError: the proxy that the environment names cannot be used.
    """
    options: dict[str, Any] = {
        "maxsize": MOST_AT_ONCE,
        "retries": False,
        "timeout": timeout_seconds,
        "ssl_context": ssl.create_default_context(),
    }
    proxy = _proxy(host)
    try:
        manager = (
            urllib3.ProxyManager(proxy, proxy_headers=_proxy_headers(proxy), **options)
            if proxy
            else urllib3.PoolManager(**options)
        )
    except urllib3.exceptions.HTTPError:
        hint = "Set https_proxy to an address such as http://proxy.example.com:3128"
        raise LifecycleError("The proxy that the environment names cannot be used", hint=hint) from None
    manager.pool_classes_by_scheme = _POOLS
    return manager


def _proxy(host: str) -> str | None:
    """The proxy that the environment names for a host; none to this machine itself."""
    parts = urlsplit(host)
    if is_loopback(host) or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxy = urllib.request.getproxies().get(parts.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _proxy_headers(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return dict(urllib3.util.make_headers(proxy_basic_auth=who))


class _PooledConnection(urllib3.connection.HTTPConnection):
    def connect(self) -> None:
        try:
            super().connect()
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise NeverConnectedError from error


class _PooledTlsConnection(urllib3.connection.HTTPSConnection):
    def connect(self) -> None:
        try:
            super().connect()
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise NeverConnectedError from error


class _Pool(HTTPConnectionPool):
    ConnectionCls: Any = _PooledConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls: Any = _PooledTlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}
