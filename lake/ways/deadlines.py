# SPDX-License-Identifier: Apache-2.0
"""HTTP connections on which an answer must have begun in time: all its headers, however they trickle."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager
from urllib3.response import HTTPResponse

from lake.ways.names import hung_up_after


def _answer(connection: HTTPConnection) -> HTTPResponse:
    """What the server answers. Raises TimeoutError if its headers are not whole when its time is over."""
    line, seconds = connection.sock, connection.timeout  # that for reading, once a request is sent
    if line is None or not isinstance(seconds, int | float):
        return HTTPConnection.getresponse(connection)

    def hang_up() -> None:
        with suppress(OSError):
            socket.socket.shutdown(line, socket.SHUT_RDWR)  # TLS's own would wait for the other side

    with hung_up_after(seconds, hang_up):
        return HTTPConnection.getresponse(connection)


class _Plain(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        """See `_answer`."""
        return _answer(self)


class _Encrypted(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        """See `_answer`."""
        return _answer(self)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _EncryptedPool(HTTPSConnectionPool):
    ConnectionCls = _Encrypted


class Punctual(HTTPAdapter):
    """An adapter of requests whose connections end an answer that does not come to its point."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Connections to servers."""
        super().init_poolmanager(*args, **kwargs)
        _use(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Connections to proxies."""
        manager = super().proxy_manager_for(*args, **kwargs)
        _use(manager)
        return manager


def _use(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _EncryptedPool}
