# SPDX-License-Identifier: Apache-2.0
"""What went wrong on a way by SSH, in words of ours: what a server writes is not shown."""

from __future__ import annotations

import os
import socket

import paramiko
from paramiko.ssh_exception import NoValidConnectionsError


def words_of(error: BaseException) -> str:
    """What went wrong and what to do, without what the server wrote."""
    for kind, words in WORDS.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, UnicodeError):
        return "the server's answer is not UTF-8. Look at the server"
    if isinstance(error, OSError):
        return f"{_reason(error)}. Correct host, port and path, or repeat when the server is up"
    return "the connection broke off. Repeat when the server is up"


WORDS: dict[type[BaseException], str] = {
    paramiko.BadHostKeyException: (
        "the server shows another key than the pinned one. Ask its keeper whether it was changed, then pin it"
    ),
    paramiko.AuthenticationException: (
        "the server does not accept user and key or password. Correct them, or ask its keeper"
    ),
    TimeoutError: "no answer in time. Repeat when the server is up, or give it more `seconds`",
    PermissionError: "is refused. Ask the server's keeper for the right to write there",
}


def _reason(error: OSError) -> str:
    """The operating system's words; where a host has several addresses, those about the first one."""
    first: object = next(iter(error.errors.values())) if isinstance(error, NoValidConnectionsError) else error
    if isinstance(first, socket.gaierror):
        return str(first.strerror)
    number = first.errno if isinstance(first, OSError) else None
    return os.strerror(number) if number else "the server refuses, or hung up"
