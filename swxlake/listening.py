# SPDX-License-Identifier: Apache-2.0
"""Taking packets that others give on: from a packet server of ours, or as messages to a webhook. No lake is needed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from exports.forward.client import Address, Subscription, printed, tls_context
from exports.forward.packet_file import PacketFile
from exports.forward.wire import Frame, WireError, line, read_hello
from lake.errors import ConfigurationError
from lake.files import writing
from lake.serving import Listen
from lake.ways.settings import is_loopback, secret
from swxlake.outcome import Outcome
from swxlake.signals import stopped_by_signals

log = logging.getLogger(__name__)


def host_and_port(text: str, what: str) -> tuple[str, int]:
    """The parts of HOST:PORT. Raises ConfigurationError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) < 65536:
        raise ConfigurationError(f"{what} {text!r} is no HOST:PORT. Write it as 127.0.0.1:7411.")
    return host.strip("[]"), int(port)


@dataclass(frozen=True)
class Listening:
    """What `forward listen` is told: where the server is, who we are, by what we are known, what we want."""

    server: str
    hello: dict[str, Any]
    token_env: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    to_file: Path | None = None
    most: int | None = None

    def address(self) -> Address:
        """Where the server is; without TLS on this machine alone. Raises ConfigurationError."""
        host, port = host_and_port(self.server, "server")
        with_tls = self.ca_file is not None or self.certificate is not None or not is_loopback(host)
        return Address(host, port, tls_context(self.ca_file, self.certificate, self.key) if with_tls else None)


def listen(asked: Listening) -> Outcome:
    """Take packets until there are no more, `most` have come, or SIGTERM or SIGINT. Raises WayError if refused."""
    try:
        read_hello(line(asked.hello))
    except WireError as error:
        raise ConfigurationError(f"the server would not understand this: {error}. Correct the option.") from None
    address = asked.address()
    token = secret(f"client {asked.hello['client']}", asked.token_env, asked.token_file)
    if token is None:
        raise ConfigurationError("the server knows clients by a token. Give --token-env or --token-file.")
    with stopped_by_signals() as stop, _sink(asked.to_file) as sink:

        def enough(seconds: float) -> bool:
            return (asked.most is not None and subscription.packets >= asked.most) or stop.wait(seconds)

        subscription = Subscription(address, asked.hello | {"token": token}, sink.take, sink.settle, enough)
        ended = subscription.run()
    counts = {"packets": subscription.packets, "repeated": subscription.repeated}
    facts = {"received": counts | {"connections": subscription.connections}, "cursor": subscription.cursor}
    problems = [f"passed over: {text}" for text in subscription.unreadable]
    return Outcome(facts | {"ended": ended}, problems, [sink.note] if sink.note else [])


class _Sink(NamedTuple):
    """What takes a packet, what makes sure that it stays, and what is to be said of where it goes."""

    take: Callable[[Frame], object]
    settle: Callable[[], object]
    note: str = ""


@contextmanager
def _sink(path: Path | None) -> Iterator[_Sink]:
    if path is None:
        yield _Sink(printed, sys.stdout.flush)
        return
    with writing(path), closing(PacketFile(path)) as file:
        if file.cut:  # it may be long until there is an outcome that says so
            log.warning("%s", file.cut)
        yield _Sink(file.take, file.settle, file.cut)


def receive_messages(
    where: str, variables: Sequence[str], out: Path, certificate: Path | None, key: Path | None
) -> Outcome:
    """Receive messages of webhooks until SIGTERM or SIGINT. Raises ConfigurationError."""
    from exports.forward.receiver import receive  # noqa: PLC0415  who listens does without it

    host, port = host_and_port(where, "--listen")
    try:
        listen_at = Listen(host=host, port=port, certificate=certificate, key=key)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigurationError(f"--listen {where}: {first['msg'].removeprefix('Value error, ')}.") from None
    with stopped_by_signals() as stop:
        receive(listen_at, variables, out, stop, lambda number: print(f"port {number}", file=sys.stderr, flush=True))
    return Outcome({"received": f"{len(list(out.glob('*.json')))} messages in {out}"})
