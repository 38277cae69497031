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

import urllib3.connection
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from lifecycle.channels.accounts import is_loopback

POOL_SIZE = 32


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


class PooledAdapter(HTTPAdapter):
    """How requests reaches a provider: connections kept alive for many threads, nothing ever sent twice."""

    def __init__(self) -> None:
        super().__init__(pool_maxsize=POOL_SIZE, max_retries=0)

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        """Use our connections."""
        super().init_poolmanager(*sizes, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Use our connections through a proxy as well."""
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


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
