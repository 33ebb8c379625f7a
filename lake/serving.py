# SPDX-License-Identifier: Apache-2.0
"""Where a server of ours listens, and whom it lets in.

It listens on this machine alone unless told otherwise, and on no other address without TLS. A token is referred to,
never written down in settings, and compared in constant time.
"""

from __future__ import annotations

import hmac
import ssl
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from lake.errors import ConfigurationError
from lake.setting_files import Setting
from lake.ways.settings import LocalPath, is_loopback


def _address(host: str) -> str:
    if not host or not host.isprintable() or any(character in host for character in "/ @"):
        raise ValueError("is no name or number of a host; write that alone, the port has a key of its own")
    return host


class Listen(Setting):
    """Where a server listens.

    certificate, key : files in PEM format; needed wherever others than this machine are listened to.
    client_ca : certificates of which a client's must be signed by one (mutual TLS); without it none is asked for.
    """

    host: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
    port: int = Field(ge=0, lt=65536)
    certificate: LocalPath | None = None
    key: LocalPath | None = None
    client_ca: LocalPath | None = None

    @model_validator(mode="after")
    def _is_safe(self) -> Listen:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("needs `certificate` and `key` together; give both or none")
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("asks for clients' certificates without TLS; give `certificate` and `key`")
        if self.certificate is None and not is_loopback(self.host):
            raise ValueError(f"listens on {self.host} without TLS; give `certificate` and `key`, or write 127.0.0.1")
        return self

    def placed(self, folder: Path) -> Listen:
        """The same with relative paths taken from `folder`, that of the settings."""
        paths = {name: folder / value.expanduser() for name, value in self if isinstance(value, Path)}
        return self.model_copy(update=paths)

    def context(self) -> ssl.SSLContext | None:
        """TLS as it is served, version 1.2 or newer; None for this machine alone. Raises ConfigurationError."""
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except OSError as error:  # an SSLError is one, too
            reason = getattr(error, "reason", None) or error.strerror
            where = f"{self.certificate}, {self.key}"
            raise ConfigurationError(f"{where}: no certificate and key that fit ({reason}). Correct them.") from None
        return context


def is_token(given: str, expected: str) -> bool:
    """Whether a token is the expected one; takes as long whatever it is."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
