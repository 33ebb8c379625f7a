# SPDX-License-Identifier: Apache-2.0
"""The commands about giving packets on: what they take, what they print, and how they end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from exports.forward import client
from exports.forward.dead_letters import DeadLetter, DeadLetters
from lake.ledger import read_ops
from lake.packet_log import Cursor, Wanted
from lake.store import Lake
from swxlake.cli import main  # noqa: TID251  what the console script calls
from tests.exports.forward.stage import SECRET, hook
from tests.packet_lines import SECONDS, TOKEN, arrive, ticks
from tests.toy import toy_lake

SETTINGS = """
lake = "lake"
[clients.near]
subscriber = true
token_env = "SWX_TEST_TOKEN"
start = "beginning"
[clients.disk]
folder = {path = "disk"}
start = "beginning"
[serve]
port = PORT
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake with two files of packets, in a folder with settings where commands are run."""
    lake = toy_lake(tmp_path)
    for place in range(2):
        arrive(lake, tmp_path / "inbox", ticks(3 * place, 3), place)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWXLAKE_FORWARD", raising=False)
    monkeypatch.setenv("SWXLAKE_ROOT", str(lake.root))
    monkeypatch.setenv("SWXLAKE_MISSIONS", str(lake.definitions.path))
    monkeypatch.setenv("SWX_TEST_TOKEN", TOKEN)
    (tmp_path / "disk").mkdir()
    (tmp_path / "forward.toml").write_text(SETTINGS.replace("PORT", str(free_port())))
    return lake


@pytest.fixture
def port(lake: Lake) -> int:
    return int(Path("forward.toml").read_text().rpartition("port = ")[2])


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of the command."""
    monkeypatch.setattr("sys.argv", ["swxlake", "forward", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def test_a_dry_run_says_what_a_push_then_gives(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "push", "--dry-run", "--json") == 0
    assert printed(capsys)["clients"] == [
        {"client": "disk", "way": "folder", "cursor": "0.0", "files": 2, "packets": 0}
    ]
    assert list(Path("disk").rglob("*")) == []
    assert called(monkeypatch, "push", "--json") == 0
    told = printed(capsys)
    assert told["forward"] == {"packets": 6, "bytes": 72}
    assert told["clients"][0]["state"] == "done"
    assert called(monkeypatch, "push", "disk", "--json") == 0
    assert printed(capsys)["forward"] == {"packets": 0, "bytes": 0}


def test_a_range_is_given_again_and_the_cursor_stays(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    span = ("--from", "2024-09-16T12:00:01Z", "--to", "2024-09-16T12:00:03Z")
    assert called(monkeypatch, "push", "--json", *span) == 0
    assert printed(capsys)["forward"] == {"packets": 2, "bytes": 24}
    assert called(monkeypatch, "status", "--json") == 0
    rows = {row["client"]: row for row in printed(capsys)["clients"]}
    assert rows["disk"]["cursor"] in (None, "0.0")


def test_dead_letters_that_cannot_be_read_stay_and_are_counted(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = "2026-08-01T00:00:00Z"
    for after, last in ((1, 2), (9, 10)):
        letter = DeadLetter("disk", Cursor(after, 0), Cursor(last, 0), 3, Wanted(), "was full", at)
        DeadLetters(lake).add(letter)
    assert called(monkeypatch, "push", "--dead", "disk", "--json") == 1
    told = printed(capsys)
    assert (told["dead_letters"], told["forward"]["packets"]) == (1, 3)
    assert told["problems"] == [
        "client disk: of 3 packets after 9.0 only 0 can be read. Look at `swxlake fsck`.",
    ]


def test_a_push_ends_on_sigterm_with_the_message_that_is_on_its_way(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SWX_HOOK", SECRET)

    def end_it() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.3)  # the main thread hears of it within a tenth of a second

    with hook() as server:
        server.before = end_it
        webhook = f'{{url = "http://127.0.0.1:{server.port}/", secret_env = "SWX_HOOK", allow_private = true}}'
        Path("forward.toml").write_text(f'lake = "lake"\n[clients.a]\nwebhook = {webhook}\nstart = "beginning"\n')
        assert called(monkeypatch, "push", "--json") == 0
        assert len(server.heard) == 1
    told = printed(capsys)
    assert (told["forward"]["packets"], told["clients"][0]["cursor"]) == (3, "1.3")
    assert told["notes"] == ["ended by a signal: each client has what is before its cursor; push again for the rest"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("push", "--speed", "10"), "--speed is of packets that are given again"),
        (("push", "--from", "noon"), "--from 'noon' is no time"),
        (("push", "--from", "2024-09-17", "--to", "2024-09-16"), "--from 2024-09-17 is not before --to 2024-09-16"),
        (("push", "--from", "2024-09-17", "--speed", "0"), "--speed '0' is none"),
        (("push", "--from", "2024-09-17", "--follow"), "--follow and --from, --to, --speed exclude each other"),
        (("push", "nobody"), "client 'nobody': is not in the settings"),
        (("push", "--dead"), "--dead is for one client"),
        (("push", "disk", "--dead", "--follow"), "--dead excludes --from"),
        (("receive", "--secret-env", "NO_SUCH", "--out", "disk"), "NO_SUCH is not set"),
        (("receive", "--secret-env", "X", "--out", "disk", "--listen", "0.0.0.0:80"), "without TLS"),
        (("listen", "there", "--client", "near"), "server 'there' is no HOST:PORT"),
        (("listen", "127.0.0.1:1", "--client", "near"), "Give --token-env or --token-file"),
        (("listen", "127.0.0.1:1", "--client", "near", "--from", "noon"), "from: is none of cursor, now"),
    ],
)
def test_mistakes_are_told_in_a_line(
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    assert called(monkeypatch, *arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", ["push", "serve", "status"])
def test_without_settings_or_with_those_of_another_lake_nothing_is_done(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    Path("forward.toml").write_text('lake = "other"')
    assert called(monkeypatch, command) == 2
    assert "is of the lake" in capsys.readouterr().err
    Path("forward.toml").unlink()
    assert called(monkeypatch, command) == 2
    assert "there is no forward.toml here" in capsys.readouterr().err


def test_a_server_serves_a_listener_until_it_is_told_to_end(
    lake: Lake, port: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    program = "import sys; from swxlake.cli import main; sys.argv = ['swxlake', *sys.argv[1:]]; main()"
    command = [sys.executable, "-c", program, "forward", "serve", "--json", "-v"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "SWXLAKE_HEALTH": str(tmp_path)}
    pipe = subprocess.PIPE
    monkeypatch.setattr(client, "CONNECT_SECONDS", SECONDS)
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as server:
        assert server.stderr is not None
        assert f"port={port}" in server.stderr.readline()
        who = ("--client", "near", "--token-env", "SWX_TEST_TOKEN")
        file = tmp_path / "packets.bin"
        assert called(monkeypatch, "listen", f"127.0.0.1:{port}", *who, "--to-file", str(file), "--most", "4") == 0
        assert file.read_bytes() == b"".join(ticks(0, 4))
        capfd.readouterr()
        assert called(monkeypatch, "listen", f"127.0.0.1:{port}", *who, "--most", "2") == 0
        lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        assert [(line["count"], bytes.fromhex(line["data"])) for line in lines] == list(enumerate(ticks(0, 6)))[4:]
        monkeypatch.setenv("SWX_TEST_TOKEN", "wrong")
        assert called(monkeypatch, "listen", f"127.0.0.1:{port}", *who) == 1
        assert "refuses" in capfd.readouterr().err
        before = time.monotonic()
        server.send_signal(signal.SIGTERM)
        out, err = server.communicate(timeout=SECONDS)
        assert server.returncode == 0, err
        assert time.monotonic() - before < SECONDS / 2
        assert TOKEN not in out + err
    assert json.loads(out)["forward"] == {"packets": 6, "connections": 2}
    rows_of_both = sorted(read_ops(lake, "forwards").select("from_cursor", "to_cursor").rows())
    assert rows_of_both == [("0.0", "2.1"), ("2.1", "2.3")]
    assert json.loads((tmp_path / "forward.json").read_text())["service"] == "forward"
    assert called(monkeypatch, "status", "--json") == 0
    rows = {row["client"]: row for row in json.loads(capfd.readouterr().out)["clients"]}
    assert (rows["near"]["cursor"], rows["near"]["confirmed"], rows["near"]["files_behind"]) == ("2.3", 6, 0)


def test_status_tells_who_never_was_here_counts_no_replay_and_forgets_what_is_mended(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def disk() -> tuple[Any, ...]:
        capsys.readouterr()
        assert called(monkeypatch, "status", "--json") == 0
        rows = {row["client"]: row for row in printed(capsys)["clients"]}
        assert (rows["near"]["last"], rows["near"]["detail"]) == ("never", "never here, begins at 0.0")
        assert (rows["near"]["cursor"], rows["near"]["files_behind"]) == (None, 2)
        return rows["disk"]["confirmed"], rows["disk"]["files_behind"], rows["disk"]["detail"]

    with Path("forward.toml").open("a") as file:
        file.write("[retries]\npatience_seconds = 0\n")
    assert disk() == (0, 2, "never here, begins at 0.0")
    Path("disk").rename("away")
    assert called(monkeypatch, "push", "--json") == 1
    assert disk()[2].startswith("client disk: ")
    Path("away").rename("disk")
    assert called(monkeypatch, "push", "disk", "--json") == 0
    assert called(monkeypatch, "push", "--from", "2024-09-16", "--json") == 0
    assert disk() == (6, 0, "")
