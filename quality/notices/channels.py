# SPDX-License-Identifier: Apache-2.0
"""Ways to people: apprise (e-mail, chats, web hooks), a file of JSON lines, syslog. One function sends.

What a library logs or raises may hold the URL with its password or token, so its words are never passed on: they are
caught, and what went wrong is said in our own. That holds for the life of the process: a call that was given up goes on
in its thread, and has something to say later.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict
from http import HTTPStatus
from logging.handlers import SysLogHandler
from pathlib import Path
from socket import socket as Socket  # noqa: N812  the handler below has an attribute of that name
from typing import TYPE_CHECKING

from lake.files import sync
from quality.notices.notice import Notice
from quality.notices.settings import Channel

if TYPE_CHECKING:
    from apprise.plugins import NotifyBase

Send = Callable[[Notice], str]  # what went wrong, in words; empty if the notice was accepted

TALKATIVE = (
    "apprise",
    "urllib3",
    "requests",
    "oauthlib",
    "requests_oauthlib",
)  # loggers that see the URL or parts of it
HEADERS = {"mail": "X-Swxlake-Notice", "web": "Idempotency-Key"}
KINDS = {"red": "failure", "yellow": "warning"}
LEVELS = {"red": logging.CRITICAL, "yellow": logging.WARNING}
# If one of two refused a notice, it would have to be sent to both again.
ONE_EACH = "give each a channel of its own, or name a mailing list, so that each gets a notice once"
TIMED_OUT = "the server did not answer in time"  # it may have accepted the notice all the same
UNKNOWN_HOST = (-2, -3, -5)  # what getaddrinfo says: no such name, try again later, no address


def open_channel(channel: Channel, seconds: float, whole: float) -> Send | str:
    """How to send on a channel, or, in words, why that cannot be.

    A server is waited for `seconds` at each of its answers, and for `whole` seconds in all of a notice. Keep it for all
    notices of a run: it keeps the pauses that a service asks for.
    """
    if channel.file is not None:
        path = channel.file
        return lambda notice: _append(path, notice)
    if channel.syslog is not None:
        return lambda notice: _log(channel, notice, seconds)
    plugin = open_plugin(channel, seconds)
    return plugin if isinstance(plugin, str) else lambda notice: _within(whole, lambda: _notify(plugin, notice))


def reference(channel: Channel) -> str:
    """What stands for the URL of a channel in messages."""
    return f"${channel.url_env}" if channel.url_env else str(channel.url_file)


def _url(channel: Channel) -> tuple[str, str]:
    """The URL that is referred to, and what is wrong with the reference."""
    if channel.url_env is not None:
        url = os.environ.get(channel.url_env, "").strip()
        return url, "" if url else f"the environment variable {channel.url_env} is not set; set it to an apprise URL"
    try:
        url = Path(str(channel.url_file)).read_text(encoding="utf-8").strip()
    except OSError as error:
        return "", f"{channel.url_file} cannot be read ({error.strerror}); write an apprise URL into it"
    except UnicodeDecodeError:
        return "", f"{channel.url_file} is not UTF-8; write an apprise URL into it"
    return url, "" if url else f"{channel.url_file} is empty; write an apprise URL into it"


def open_plugin(channel: Channel, seconds: float) -> NotifyBase | str:
    """What apprise makes of the URL that a channel refers to; or, in words, what is wrong."""
    url, wrong = _url(channel)
    if wrong:
        return wrong
    with caught(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # apprise imports what Python deprecates
        from apprise import Apprise, AppriseAsset  # noqa: PLC0415  its import takes 0.3 s, and many lakes have no channel

        # Nothing is kept on disk, and a text from telemetry is no place to look for escapes or emojis. The time for all
        # of a call is bounded by us: apprise leaves threads behind that the end of the process waits for.
        asset = AppriseAsset(
            storage_mode="memory", interpret_escapes=False, interpret_emojis=False, app_id="swxlake", service_timeout=0
        )
        plugin = Apprise.instantiate(url, asset=asset)
    if plugin is None:
        return f"{reference(channel)} holds no URL that apprise understands; correct it after apprise's documentation"
    plugin.socket_connect_timeout = plugin.socket_read_timeout = seconds
    plugin.optional, plugin.retry = False, 0  # `?optional=yes` would call a failure a success; the outbox tries again
    if (count := len(plugin) + sum(len(getattr(plugin, name, ())) for name in ("cc", "bcc"))) > 1:
        return f"{reference(channel)} has {count} recipients; {ONE_EACH}"
    if is_mail(plugin):
        plugin.request_rate_per_sec = 0  # a mail server says itself when it is too much
    return plugin


def is_mail(plugin: NotifyBase) -> bool:
    """Whether a plugin speaks SMTP."""
    return bool(getattr(plugin, "smtp_host", ""))


def _notify(plugin: NotifyBase, notice: Notice) -> str:
    """Send by apprise, the notice id in a header where the service lets one add headers."""
    from apprise import Apprise  # noqa: PLC0415

    if isinstance(headers := getattr(plugin, "headers", None), dict):
        headers[HEADERS["mail" if is_mail(plugin) else "web"]] = notice.notice_id
    with caught() as messages:
        service = Apprise()
        service.add(plugin)
        kind = KINDS.get(notice.severity, "info")
        accepted = service.notify(notice.body, notice.title, notify_type=kind, body_format="text")
    return "" if accepted else reason("\n".join(messages))


def _within(seconds: float, call: Callable[[], str]) -> str:
    """What a call returns, or that it took longer; then it is left in a thread that the process does not wait for."""
    done = Future[str]()

    def work() -> None:
        try:
            done.set_result(call())
        except Exception as error:  # noqa: BLE001  it is raised where the result is waited for
            done.set_exception(error)

    threading.Thread(target=work, name="notice", daemon=True).start()
    try:
        return done.result(seconds)
    except TimeoutError:
        return TIMED_OUT


class _Catch(logging.Handler):
    """Where the libraries log to: the list of the block that they are called in, or nowhere."""

    messages: ContextVar[list[str] | None] = ContextVar("messages", default=None)

    def emit(self, record: logging.LogRecord) -> None:
        if (messages := self.messages.get()) is not None:
            messages.append(record.getMessage())


CATCH = _Catch()


@contextmanager
def caught() -> Iterator[list[str]]:
    """What the libraries log within the block goes into this list. Nothing of theirs is shown from then on."""
    for logger in map(logging.getLogger, TALKATIVE):
        logger.handlers, logger.propagate = [CATCH], False
        logger.setLevel(logging.DEBUG)
    warnings.filterwarnings("ignore", module=rf"({'|'.join(TALKATIVE)})\b")  # they name hosts
    messages = list[str]()
    token = _Catch.messages.set(messages)
    try:
        yield messages
    finally:
        _Catch.messages.reset(token)


def reason(text: str) -> str:
    """What went wrong, told from what a library says; only codes are taken from there, no words."""
    if code := re.search(r"\berror=(\d{3})\b", text):
        return f"the server answered {code[1]}{_phrase(int(code[1]))}"
    if code := re.search(r"\((\d{3}), b['\"]", text):
        return f"the mail server answered {code[1]}{' (user or password refused)' if code[1] == '535' else ''}"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "the certificate of the server is not trusted"
    if code := re.search(r"\[Errno (-?\d+)\]", text):
        return system_words(int(code[1]))
    if "timed out" in text:
        return TIMED_OUT
    return "the server did not accept it"


def _phrase(code: int) -> str:
    with suppress(ValueError):
        return f" ({HTTPStatus(code).phrase})"
    return ""


def system_words(number: int | None) -> str:
    """The words of the operating system for the number of an error."""
    if number in UNKNOWN_HOST:
        return "the name of the host is not known"
    return os.strerror(number).lower() if number and number > 0 else "no connection"


def _append(path: Path, notice: Notice) -> str:
    """One JSON object on a line of its own, on disk before it counts; a line cut short by a crash stays alone."""
    line = json.dumps(asdict(notice), sort_keys=True, default=lambda time: time.isoformat()).encode() + b"\n"
    try:
        is_new = not path.exists()
        with path.open("ab+") as file:
            if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync(path.parent)
    except OSError as error:
        return f"{path} cannot be written ({error.strerror})"
    return ""


class _Syslog(SysLogHandler):
    socket: Socket  # the library sets it, and does not say so

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the library's name
        """An error is the sender's to tell, not to be printed."""
        raise  # noqa: PLE0704  it is called while an exception is handled


def _log(channel: Channel, notice: Notice, seconds: float) -> str:
    """One line to syslog: title, then the body's lines."""
    text = "; ".join([notice.title, *(line for line in notice.body.splitlines() if line)])
    record = logging.makeLogRecord({"msg": text, "levelno": (level := LEVELS.get(notice.severity, logging.INFO))})
    record.levelname = logging.getLevelName(level)
    try:
        handler = _Syslog(address(channel), SysLogHandler.facility_names[str(channel.syslog)])
        handler.ident = "swxlake: "
        try:
            if handler.socket.fileno() >= 0:  # it is closed where nobody listens; then sending says why
                handler.socket.settimeout(seconds)
            handler.emit(record)
        finally:
            handler.close()
    except OSError as error:
        return f"syslog at {channel.address} cannot be reached ({system_words(error.errno)})"
    return ""


def address(channel: Channel) -> str | tuple[str, int]:
    """Where syslog is: a socket, or host and UDP port."""
    host, colon, port = channel.address.rpartition(":")
    return (host, int(port)) if colon and port.isdigit() else channel.address
