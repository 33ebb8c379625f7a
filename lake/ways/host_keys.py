# SPDX-License-Identifier: Apache-2.0
"""Public keys of SSH servers: one as the settings give it, and those that a file of known hosts has for a server.

Lines of known hosts follow sshd(8), SSH_KNOWN_HOSTS FILE FORMAT. Patterns with * and authorities of certificates are
not used: a server is known by its own name and its own key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry, HostKeys, InvalidHostKey

SSH_PORT = 22  # files of known hosts name any other one
REVOKED = "@revoked"
NO_KEY = (InvalidHostKey, paramiko.SSHException, ValueError, ArithmeticError)  # what the library raises for such a line


@dataclass
class KnownKeys:
    """Keys of one server that are trusted, keys that nobody trusts, and numbers of lines that hold no key."""

    trusted: list[paramiko.PKey] = field(default_factory=list)
    revoked: list[paramiko.PKey] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)


def host_key(line: str) -> paramiko.PKey:
    """The key in a line without a host, `ssh-ed25519 AAAA...`. Raises ValueError if there is none."""
    entry = _entry(f"host {line}")
    # The library fills up what was cut off at the end.
    if entry is None or entry.key is None or entry.key.get_base64() != line.split()[1]:
        raise ValueError("is no public key as ssh-keyscan prints it; write `ssh-ed25519 AAAA...`")
    return entry.key


def name_of(host: str, port: int) -> str:
    """The name of a server in a file of known hosts."""
    return host if port == SSH_PORT else f"[{host}]:{port}"


def known_keys(path: Path, name: str) -> KnownKeys:
    """What a file says of the server of this name; lines about others need not be right. Raises OSError."""
    found = KnownKeys()
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        marker = words.pop(0) if words[0].startswith("@") else ""
        if marker not in ("", REVOKED):
            continue
        entry = _entry(" ".join(words))
        if entry is None or entry.key is None:
            found.unread.append(number)
        elif marker:
            found.revoked.append(entry.key)  # of whichever server: a key that was stolen is good for none
        elif _is_of(entry, name):
            found.trusted.append(entry.key)
    found.trusted = [key for key in found.trusted if key not in found.revoked]
    return found


def _entry(line: str) -> HostKeyEntry | None:
    try:
        return HostKeyEntry.from_line(line)
    except NO_KEY:
        return None


def _is_of(entry: HostKeyEntry, name: str) -> bool:
    """Whether an entry, whose names may be hashed, is about the server."""
    hosts = HostKeys()
    for host in entry.hostnames or ():
        hosts.add(host, entry.key.get_name(), entry.key)
    return hosts.lookup(name) is not None
