# SPDX-License-Identifier: Apache-2.0
"""What is in a folder behind SSH, with names as the server has them, whatever their encoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from paramiko import Message, SFTPAttributes, SFTPError
from paramiko.sftp import CMD_CLOSE, CMD_HANDLE, CMD_NAME, CMD_OPENDIR, CMD_READDIR

ATTRIBUTES: Any = SFTPAttributes
LEAST_BYTES = 12  # of an entry: two lengths of texts, and which attributes follow


def pages(client: Any, place: str) -> Iterator[list[SFTPAttributes]]:
    """What is in a folder, as many entries at a time as the server gives. Raises what the library raises.

    The library's own listing ends at the first name that is not UTF-8, and takes a connection that was lost for the
    end of the folder. Here such names hold the bytes as Python's own listings do (PEP 383). The requests are those of
    draft-ietf-secsh-filexfer-02, section 6.7.
    """
    handle = _answer(client, CMD_HANDLE, CMD_OPENDIR, place).get_binary()
    while True:
        try:
            message = _answer(client, CMD_NAME, CMD_READDIR, handle)
        except EOFError:
            client._request(CMD_CLOSE, handle)
            return
        count = min(message.get_int(), len(message.asbytes()) // LEAST_BYTES)  # a server may say any number
        entries = [_entry(message) for _ in range(count)]
        yield [entry for entry in entries if entry.filename not in (".", "..")]


def _answer(client: Any, wanted: int, command: int, argument: str | bytes) -> Message:
    kind, message = client._request(command, argument)
    if kind != wanted or not isinstance(message, Message):
        raise SFTPError("the server answers something else")
    return message


def _entry(message: Message) -> SFTPAttributes:
    name = message.get_string().decode(errors="surrogateescape")
    message.get_string()  # a line for people, in whatever form
    found: SFTPAttributes = ATTRIBUTES._from_msg(message, name, "")
    return found
