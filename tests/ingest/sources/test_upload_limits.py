# SPDX-License-Identifier: Apache-2.0
"""What the upload server does with senders that are slow, greedy or false, and where it listens."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ingest.sources import upload_landing
from ingest.sources.following import Following, Gauges
from ingest.sources.lander import Lander
from ingest.sources.nouns import Arrived
from ingest.sources.settings import SourceSettings
from ingest.sources.upload import serving
from ingest.sources.upload_settings import Sender, UploadSettings
from lake.definitions import Definitions
from lake.errors import ConfigurationError
from lake.health import Health
from lake.lease import flocked
from lake.store import Lake
from lake.ways.settings import FolderWay
from tests.ingest.sources.uploading import NAME, TOKEN, Client, header, read_all, scratch_files, settings, upload_server
from tests.servers import wait_until
from tests.toy import toy_lake
from tests.upload_server import make_certificate

BODY = b"packets of a pass"


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    return toy_lake(tmp_path_factory.mktemp("toy")).definitions


@pytest.fixture
def lake(definitions: Definitions, tmp_path: Path) -> Lake:
    (tmp_path / "lake").mkdir()
    return Lake(tmp_path / "lake", definitions)


@pytest.fixture
def client(lake: Lake, tmp_path: Path) -> Iterator[Client]:
    limits = {"header_seconds": 0.3, "seconds": 0.3, "max_connections": 4, "max_waiting_bytes": 100}
    with upload_server(lake, tmp_path, **limits) as found:
        yield found


def seconds(call: Callable[[], Any]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


@pytest.mark.parametrize("sent", [b"", b"PUT /x HTTP/1.1\r\nX-Slow: "])
def test_a_header_that_does_not_come_to_an_end_is_cut_off_however_it_trickles(client: Client, sent: bytes) -> None:
    line = client.raw(sent)
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.05):
            try:
                line.sendall(b"a" if sent else b"")
            except OSError:
                return

    feeder = threading.Thread(target=trickle)
    feeder.start()
    try:
        assert seconds(lambda: read_all(line)) < 2.0
    finally:
        stop.set()
        feeder.join()
    assert client.put(body=BODY).status == 201


def test_a_body_that_trickles_is_refused_and_leaves_nothing(client: Client) -> None:
    line = client.raw(header(90), b"abc")
    assert read_all(line).startswith(b"HTTP/1.1 408 ")
    wait_until(lambda: not client.coming())
    assert client.archived() == []


def test_a_sender_that_hangs_up_leaves_nothing(client: Client) -> None:
    line = client.raw(header(90), b"abc")
    wait_until(lambda: bool(client.coming()))
    line.close()
    wait_until(lambda: not client.coming())
    assert client.archived() == []


def test_a_kept_connection_takes_one_upload_after_another(client: Client) -> None:
    first, second = b"one", b"the other"
    both = header(len(first), body=first) + first, header(len(second), NAME.replace("0916", "0917"), second) + second
    assert read_all(client.raw(*both)).count(b"HTTP/1.1 201 ") == 2
    assert len(client.archived()) == 2


def test_more_connections_than_allowed_are_told_to_come_back(client: Client) -> None:
    lines = [client.raw() for _ in range(4)]
    try:
        wait_until(lambda: read_all(client.raw()).startswith(b"HTTP/1.1 503 "))
    finally:
        for line in lines:
            line.close()
    wait_until(lambda: client.ask("GET", "/health").status == 200)


def test_more_bytes_under_way_than_allowed_are_told_to_come_back(client: Client) -> None:
    with client.raw(header(90), b"abc"):
        wait_until(lambda: bool(client.coming()))
        answer = client.put(body=b"x" * 20)
    assert (answer.status, answer.content["code"], answer.headers["retry-after"]) == (503, "BUSY", "30")


def test_a_terabyte_is_refused_before_a_byte_of_it_is_read(client: Client) -> None:
    line = client.raw(header(1 << 40))
    assert line.recv(65536).startswith(b"HTTP/1.1 413 ")
    line.close()


def test_a_sender_that_asks_first_is_refused_before_it_sends(client: Client) -> None:
    asks = header(90).replace(TOKEN.encode(), b"another").replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    line = client.raw(asks)
    assert line.recv(65536).startswith(b"HTTP/1.1 401 ")
    line.close()


def test_a_disk_that_is_nearly_full_is_said_so(lake: Lake, tmp_path: Path) -> None:
    disk = shutil.disk_usage(tmp_path)
    for keep, status, code in (((disk.free + disk.total) // 2, 503, "DISK_FULL"), (disk.total, 507, "NO_ROOM")):
        with upload_server(lake, tmp_path, keep_free_bytes=keep) as client:
            answer = client.put(body=BODY)
        assert (answer.status, answer.content["code"], client.archived()) == (status, code, [])


def test_it_stops_while_a_body_comes_and_tells_its_sender(lake: Lake, tmp_path: Path) -> None:
    with upload_server(lake, tmp_path) as client:
        line = client.raw(header(90), b"abc")
        wait_until(lambda: bool(client.coming()))
        started = time.monotonic()
    assert time.monotonic() - started < 3.0
    assert read_all(line).startswith(b"HTTP/1.1 503 ")
    assert not client.coming()


def test_it_stops_while_a_sender_keeps_a_connection_open(lake: Lake, tmp_path: Path) -> None:
    pem = make_certificate(tmp_path / "server.pem")
    context = ssl.create_default_context(cafile=pem)
    with upload_server(lake, tmp_path, certificate=pem, key=pem) as client:
        line = context.wrap_socket(client.raw(), server_hostname="127.0.0.1")
        line.sendall(header(3, body=b"one") + b"one")
        assert line.recv(12) == b"HTTP/1.1 201"
        started = time.monotonic()
    assert time.monotonic() - started < 3.0
    line.close()


def test_many_senders_at_once_are_all_taken(lake: Lake, tmp_path: Path) -> None:
    names = [NAME.replace("034739", f"0347{number:02}") for number in range(16)]
    answers: list[int] = []
    with upload_server(lake, tmp_path) as client:
        threads = [
            threading.Thread(target=lambda name=name: answers.append(client.put(f"/{name}", name.encode()).status))
            for name in names
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (answers, client.archived()) == ([201] * 16, sorted(names))


def test_of_several_senders_who_want_a_free_name_at_once_one_gets_it(lake: Lake, tmp_path: Path) -> None:
    answers: list[int] = []
    with upload_server(lake, tmp_path) as client:

        def send(number: int) -> None:
            answers.append(client.put(body=b"packets of %d" % number, If_None_Match="*").status)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (sorted(answers), client.archived()) == ([201, *[409] * 5], [NAME])


def test_nothing_that_a_sender_writes_breaks_a_line_of_the_log_or_shows_a_token(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.put(f"/%0aroot%1b[2J{'x' * 900}", BODY).status == 400
    client.put(body=BODY, Authorization="Bearer a-wrong-token-0001")
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(lines) == 2
    assert all(line.isprintable() and len(line) < 500 for line in lines)
    assert not any(TOKEN in line or "a-wrong-token" in line for line in lines)


# ---- while another process lands -------------------------------------------------------------------------------------
def test_others_are_served_while_a_source_waits_for_another_process_that_lands(lake: Lake, tmp_path: Path) -> None:
    lander, lock = Lander(lake), Path(lake.root) / "locks/landing.lock"
    (tmp_path / "f").write_bytes(b"of a source")
    with serving(settings(tmp_path), lander, Health("watch")) as port, flocked(lock, 0):
        client = Client(port, lake)
        source = Arrived("moc", "f", NAME.replace("0916", "0917"), tmp_path / "f")
        waits = threading.Thread(target=lander.take, args=([source],), daemon=True)
        waits.start()
        wait_until(lambda: bool(scratch_files(lake, "0.part")))
        with client.raw(header(90), b"abc"):
            wait_until(lambda: bool(client.coming()))
            assert seconds(lambda: client.ask("GET", "/health")) < 1.0
    waits.join(5)


def test_it_answers_at_once_during_the_first_look_at_a_large_folder_and_beside_strangers(
    lake: Lake, tmp_path: Path
) -> None:
    folder, lander = tmp_path / "drop", Lander(lake)
    stop, looked = threading.Event(), threading.Event()
    folder.mkdir()
    os.mkfifo(folder / "pipe.dat")
    (folder / "link.dat").symlink_to("/etc/hostname")
    for number in range(150):
        (folder / f"toyMDA0_2409170{number // 60:03}{number % 60:02}.dat").write_bytes(number.to_bytes(20))
    source = SourceSettings(folder=FolderWay(path=folder), settle_seconds=0)
    following = Following("drop", source, lander, Gauges(Health("watch")), stop, lambda _: looked.set())
    with serving(settings(tmp_path), lander, Health("watch")) as port, ExitStack() as strangers:
        client = Client(port, lake)
        for _ in range(20):
            strangers.enter_context(client.raw())
        strangers.enter_context(client.raw(b"PUT /x HTTP/1.1\r\nX-Slow: "))
        strangers.enter_context(client.raw(header(90), b"abc"))
        following.start()
        while not looked.is_set():
            assert seconds(lambda: client.ask("GET", "/health")) < 1.0
        assert client.put(body=b"of a sender").status == 201
    stop.set()
    following.join(10)


def test_it_stops_while_an_upload_waits_for_another_process_that_lands(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_landing, "STOP_SECONDS", 0.1)
    with flocked(Path(lake.root) / "locks/landing.lock", 0):
        with upload_server(lake, tmp_path) as client:
            line = client.raw(header(len(BODY), body=BODY), BODY)
            wait_until(lambda: bool(scratch_files(lake, "0.part")))
            started = time.monotonic()
        assert time.monotonic() - started < 3.0
        assert read_all(line).startswith(b"HTTP/1.1 503 ")


# ---- where it listens ------------------------------------------------------------------------------------------------
def test_a_client_certificate_is_asked_for_where_the_settings_say_so(lake: Lake, tmp_path: Path) -> None:
    pem = make_certificate(tmp_path / "server.pem")
    context = ssl.create_default_context(cafile=pem)
    known = ssl.create_default_context(cafile=pem)
    known.load_cert_chain(pem)
    ask = b"GET /health HTTP/1.1\r\nHost: lake\r\nConnection: close\r\n\r\n"

    def answer(port: int, with_context: ssl.SSLContext) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            try:
                line = with_context.wrap_socket(plain, server_hostname="127.0.0.1")
                line.sendall(ask)
                return read_all(line)
            except ssl.SSLError:
                return b""

    with upload_server(lake, tmp_path, certificate=pem, key=pem, client_ca=pem) as client:
        assert answer(client.port, context) == b""
        assert answer(client.port, known).startswith(b"HTTP/1.1 200 ")


def test_a_handshake_that_does_not_come_to_an_end_is_cut_off(lake: Lake, tmp_path: Path) -> None:
    pem = make_certificate(tmp_path / "server.pem")
    with upload_server(lake, tmp_path, certificate=pem, key=pem, header_seconds=0.3) as client:
        assert seconds(lambda: read_all(client.raw(b"\x16\x03\x01"))) < 2.0


def test_handshakes_count_among_the_connections(lake: Lake, tmp_path: Path) -> None:
    pem = make_certificate(tmp_path / "server.pem")
    context = ssl.create_default_context(cafile=pem)
    with upload_server(lake, tmp_path, certificate=pem, key=pem, max_connections=3) as client:
        lines = [client.raw() for _ in range(3)]
        assert seconds(lambda: read_all(client.raw())) < 5.0  # a handshake has ten
        for line in lines:
            line.close()

        def answers() -> bool:
            try:
                with context.wrap_socket(client.raw(), server_hostname="127.0.0.1") as line:
                    line.sendall(header(3, body=b"one") + b"one")
                    return line.recv(12) == b"HTTP/1.1 201"
            except OSError:
                return False

        wait_until(answers)


def test_it_listens_on_this_machine_alone_unless_there_is_tls(tmp_path: Path) -> None:
    assert settings(tmp_path).host == "127.0.0.1"
    with pytest.raises(ValueError, match="without TLS"):
        settings(tmp_path, host="0.0.0.0")  # noqa: S104  that it is refused is the point


def test_a_port_that_is_taken_is_said_in_one_line(lake: Lake, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {taken}"), upload_server(lake, tmp_path, port=taken):
            pass


def test_a_token_that_can_be_guessed_or_is_not_there_is_refused_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "short").write_text("hunter2\n")
    monkeypatch.delenv("SWX_NO_TOKEN", raising=False)
    given: tuple[dict[str, Any], ...] = (
        {"token_file": tmp_path / "short"}, {"token_file": tmp_path / "none"}, {"token_env": "SWX_NO_TOKEN"}
    )  # fmt: skip
    for reference in given:
        with pytest.raises(ConfigurationError, match="sender moc: ") as refusal:
            Sender(**reference).tokens("sender moc")
        assert "hunter2" not in str(refusal.value)


def test_paths_of_the_settings_are_taken_from_their_folder(tmp_path: Path) -> None:
    senders = {"moc": {"token_file": "moc.token"}, "other": {"token_env": "OTHER"}}
    given = UploadSettings.model_validate({"port": 1, "senders": senders, "certificate": "a.pem", "key": "b.pem"})
    placed = given.placed(tmp_path)
    assert (placed.certificate, placed.senders["moc"].token_file) == (tmp_path / "a.pem", tmp_path / "moc.token")
