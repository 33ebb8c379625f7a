# SPDX-License-Identifier: Apache-2.0
"""Receiving messages of webhooks, as the command does: what is told of a mistake, and that it ends when asked to."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.errors import ConfigurationError
from swxlake.health_server import serve
from swxlake.listening import receive_messages
from swxlake.outcome import Outcome
from tests.exports.forward.stage import SECRET
from tests.servers import wait_until


def received(listen: str, out: Path) -> Outcome:
    return receive_messages(listen, ["SWX_HOOK"], out, None, None)


@pytest.fixture
def _ended_soon() -> Iterator[None]:
    """SIGTERM, as soon as something obeys it."""
    before = signal.getsignal(signal.SIGTERM)

    def end_it() -> None:
        wait_until(lambda: signal.getsignal(signal.SIGTERM) is not before)
        os.kill(os.getpid(), signal.SIGTERM)

    ending = threading.Thread(target=end_it)
    ending.start()
    yield
    ending.join()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("8080", "--listen '8080' is no HOST:PORT."),
        ("127.0.0.1:http", "--listen '127.0.0.1:http' is no HOST:PORT."),
        ("0.0.0.0:8080", "listens on 0.0.0.0 without TLS"),
        ("127.0.0.1:99999", "is no HOST:PORT."),
    ],
)
def test_an_address_that_is_none_or_is_open_to_all_is_refused(tmp_path: Path, listen: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        received(listen, tmp_path)
    assert words in str(caught.value)


def test_a_receiver_without_its_secret_does_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWX_HOOK", raising=False)
    with pytest.raises(ConfigurationError, match="the environment variable SWX_HOOK is not set"):
        received("127.0.0.1:0", tmp_path)


@pytest.mark.usefixtures("_ended_soon")
def test_a_receiver_ends_on_sigterm_and_says_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWX_HOOK", SECRET)
    assert received("127.0.0.1:0", tmp_path).facts == {"received": f"0 messages in {tmp_path}"}


@pytest.mark.usefixtures("_ended_soon")
def test_an_endpoint_for_health_ends_on_sigterm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve(tmp_path, 0, 120.0)
    assert "/metrics and /health" in capsys.readouterr().out
