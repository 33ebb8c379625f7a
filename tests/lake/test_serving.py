# SPDX-License-Identifier: Apache-2.0
"""Where servers of ours may listen, and how tokens are compared."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from lake.errors import ConfigurationError
from lake.serving import Listen, is_token
from tests.upload_server import make_certificate


def test_a_server_listens_on_this_machine_alone_unless_told_otherwise() -> None:
    assert Listen(port=0).host == "127.0.0.1"
    assert Listen(port=0).context() is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"host": "0.0.0.0"}, "without TLS"),  # noqa: S104  that it is refused is the point
        ({"host": "::"}, "without TLS"),
        ({"host": "lake.example.org"}, "without TLS"),
        ({"certificate": "a.pem"}, "together"),
        ({"client_ca": "a.pem"}, "without TLS"),
        ({"host": "a b"}, "name or number"),
        ({"host": "user@host"}, "name or number"),
    ],
)
def test_what_is_not_safe_is_no_setting(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Listen.model_validate({"port": 1, **given})


def test_tls_is_of_version_1_2_or_newer_and_asks_for_certificates_where_told(tmp_path: Path) -> None:
    pem = make_certificate(tmp_path / "server.pem")
    listen = Listen.model_validate({"port": 0, "certificate": "server.pem", "key": "server.pem"}).placed(tmp_path)
    mutual = Listen(port=0, certificate=pem, key=pem, client_ca=pem)
    plain, asking = listen.context(), mutual.context()
    assert plain is not None
    assert asking is not None
    assert plain.minimum_version == ssl.TLSVersion.TLSv1_2
    assert (plain.verify_mode, asking.verify_mode) == (ssl.CERT_NONE, ssl.CERT_REQUIRED)


def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("no certificate")
    for name in ("a.pem", "gone.pem"):
        with pytest.raises(ConfigurationError, match=name):
            Listen(port=0, certificate=tmp_path / name, key=tmp_path / name).context()


def test_a_token_is_only_itself_whatever_bytes_are_given() -> None:
    assert is_token("one-token", "one-token")
    assert not any(is_token(given, "one-token") for given in ("", "one-toke", "one-token2", "öne", "\udcff"))
