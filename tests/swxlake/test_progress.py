# SPDX-License-Identifier: Apache-2.0
"""A bar is on stderr while work goes on and a terminal looks on, and nowhere else."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from lake.config import CHECKOUT
from swxlake.progress import bar

SCRIPT = """
import logging, sys, time
from swxlake.progress import bar
logging.basicConfig(format="%(levelname)s %(message)s")
with bar("transform", shown={shown}) as progress:
    for number in range(3):
        if progress:
            progress(number, 3, f"table@{{number}}")
        time.sleep(0.2)
    logging.warning("a word in between")
logging.warning("a word after it")
print("result")
"""


def on_a_terminal(shown: bool, term: str = "xterm") -> tuple[str, str]:
    """What a script writes to stdout, and to the terminal that is its stderr."""
    master, slave = pty.openpty()
    command = [sys.executable, "-c", SCRIPT.format(shown=shown)]
    environment = os.environ | {"TERM": term, "COLUMNS": "100"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=slave, env=environment, cwd=CHECKOUT, text=True, check=True
    )
    os.close(slave)
    return done.stdout, read_all(master)


def read_all(handle: int) -> str:
    text = b""
    try:
        while block := os.read(handle, 65536):
            text += block
    except OSError:  # the other end is closed
        pass
    os.close(handle)
    return text.decode()


def test_a_terminal_sees_what_is_done_and_what_comes_next() -> None:
    out, seen = on_a_terminal(shown=True)
    assert out == "result\n"
    assert "transform" in seen
    assert "2/3" in seen
    assert "table@2" in seen


def test_words_of_the_log_stand_in_lines_of_their_own() -> None:
    _, seen = on_a_terminal(shown=True)
    lines = [line.strip() for line in seen.replace("\x1b[2K", "\n").splitlines()]
    assert "WARNING a word in between" in lines
    assert "WARNING a word after it" in lines


@pytest.mark.parametrize(("shown", "term"), [(False, "xterm"), (True, "dumb")])
def test_who_does_not_want_a_bar_or_cannot_draw_it_sees_none(shown: bool, term: str) -> None:
    _, seen = on_a_terminal(shown, term)
    assert seen.split("\r\n") == ["WARNING a word in between", "WARNING a word after it", ""]


def test_a_file_sees_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "log").open("w") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        with bar("transform") as progress:
            assert progress is None
    assert (tmp_path / "log").read_text() == ""


def test_the_handlers_of_the_log_have_their_stream_again(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = logging.StreamHandler(sys.__stderr__)
    monkeypatch.setattr("swxlake.progress.is_watched", lambda: True)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    with bar("transform") as progress:
        assert progress is not None
    assert handler.stream is sys.__stderr__
