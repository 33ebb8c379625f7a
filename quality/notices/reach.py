# SPDX-License-Identifier: Apache-2.0
"""Whether channels can be used, asked before a night needs them: references, URLs, hosts, folders, sockets."""

from __future__ import annotations

import os
import re
import socket
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from quality.notices.channels import address, is_mail, open_plugin, reference, system_words
from quality.notices.settings import AlertSettings, Channel

REACH_SECONDS = 3.0  # a host that takes longer to answer a connection will not do in the night either
WEB_PORTS = {True: 443, False: 80}
# Where plugins of services with a fixed host keep its address.
FIXED_HOSTS = ("webhook_url", "notify_url", "api_url")


def reach(settings: AlertSettings, seconds: float = REACH_SECONDS) -> list[str]:
    """One line for each channel that cannot be used: its name, what is wrong, what to do. Nothing is sent.

    Never a URL, a host of one, a user or a secret: what is referred to is called by its reference.
    """
    found = ((name, _wrong(channel, seconds)) for name, channel in settings.channels.items())
    return [f"channel {name}: {wrong}." for name, wrong in found if wrong]


def _wrong(channel: Channel, seconds: float) -> str:
    if channel.file is not None:
        return _file_wrong(channel)
    if channel.syslog is not None:
        return _syslog_wrong(channel, seconds)
    plugin = open_plugin(channel, seconds)
    if isinstance(plugin, str):
        return plugin
    place = host_of(plugin)
    cause = _connect(place, seconds) if place else ""
    if not cause:
        return ""
    return (
        f"the host in {reference(channel)} cannot be reached ({cause}); correct host and port there, or ask whoever "
        "keeps the server or the network"
    )


def _file_wrong(channel: Channel) -> str:
    path = channel.file
    if path is None or (path.exists() and os.access(path, os.W_OK) and path.is_file()):
        return ""
    if path.exists():
        return f"{path} cannot be written; give the right to write, or name another file"
    if not path.parent.is_dir():
        return f"{path.parent} is no folder; make it, or name another file"
    return "" if os.access(path.parent, os.W_OK) else f"{path.parent} cannot be written; give the right to write"


def _syslog_wrong(channel: Channel, seconds: float) -> str:
    place = address(channel)
    try:
        if isinstance(place, str):
            _open_socket(place, seconds)
        else:
            socket.getaddrinfo(*place, type=socket.SOCK_DGRAM)
    except OSError as error:
        words = system_words(error.errno)
        return f"syslog at {channel.address} cannot be reached ({words}); start it, or correct `address`"
    return ""


def _open_socket(path: str, seconds: float) -> None:
    """Raises OSError if nobody listens at a socket, be it one of datagrams or a stream."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_UNIX, kind) as link:
            link.settimeout(seconds)
            error = link.connect_ex(path)
            if not error:
                return
    raise OSError(error, os.strerror(error))


def host_of(plugin: Any) -> tuple[str, int] | None:
    """Host and port that a plugin connects to; None if it does not say, or if a proxy stands between.

    What a plugin of apprise has beside what all have is known by name only.
    """
    if is_mail(plugin):
        return str(plugin.smtp_host), int(plugin.port)
    if plugin.template_tokens.get("host", {}).get("required"):  # else it may be a topic of a public server
        host, port = str(plugin.host), plugin.port or WEB_PORTS[bool(plugin.secure)]
    else:
        fixed = [getattr(plugin, name, None) for name in FIXED_HOSTS]
        urls = [url for url in fixed if isinstance(url, str) and re.match("https?://", url)]
        if not urls:
            return None
        place = urlsplit(urls[0])
        host, port = str(place.hostname), place.port or WEB_PORTS[place.scheme == "https"]
    proxied = {"http", "https", "all"} & set(urllib.request.getproxies()) and not urllib.request.proxy_bypass(host)
    return None if proxied else (host, port)


def _connect(place: tuple[str, int], seconds: float) -> str:
    """Why a host and port do not take a connection; empty if they do."""
    try:
        socket.create_connection(place, timeout=seconds).close()
    except TimeoutError:
        return "it did not answer in time"
    except UnicodeError:
        return "the name of the host is not possible"
    except OSError as error:
        return system_words(error.errno)
    return ""
