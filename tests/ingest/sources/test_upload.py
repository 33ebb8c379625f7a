# SPDX-License-Identifier: Apache-2.0
"""The upload server, asked over real sockets: what it takes, what it answers, and how it is used by our own sender."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.sources.lander import Lander
from ingest.sources.upload import serving
from lake.config import CHECKOUT
from lake.definitions import Definitions
from lake.errors import PathError
from lake.health import Health
from lake.ledger import read_ops
from lake.store import Lake, RawArchive, receipt_key
from lake.ways.settings import HttpsWay, open_way
from tests.ingest.sources.uploading import NAME, TOKEN, Client, digest, settings, upload_server
from tests.toy import toy_lake
from tests.upload_server import make_certificate

BODY = b"packets of a pass"
OTHER = b"packets of a pass, corrected"
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    return toy_lake(tmp_path_factory.mktemp("toy")).definitions


@pytest.fixture
def lake(definitions: Definitions, tmp_path: Path) -> Lake:
    (tmp_path / "lake").mkdir()
    return Lake(tmp_path / "lake", definitions)


@pytest.fixture
def client(lake: Lake, tmp_path: Path) -> Iterator[Client]:
    with upload_server(lake, tmp_path) as found:
        yield found


def test_answers_an_upload_with_a_receipt_once_it_is_archived(client: Client) -> None:
    answer = client.put(f"/pass-17/{NAME}", BODY)
    archive = RawArchive(client.lake)
    key = receipt_key(SHA256, NAME)
    receipt = archive.receipt(archive.keys()[key])
    with archive.local(receipt) as file:
        assert file.read_bytes() == BODY
    told = {"delivery_id": key, "name": NAME, "sha256": SHA256, "size": len(BODY), "status": "landed", "reason": ""}
    assert answer.status == 201
    assert answer.content | told == answer.content
    assert answer.content["received_at"][:4].isdecimal()


def test_a_file_without_bytes_is_refused_and_no_revision(client: Client) -> None:
    assert client.put(body=BODY).status == 201
    empty = client.put(body=b"")
    assert (empty.status, empty.content["code"], client.archived()) == (400, "EMPTY", [NAME])


def test_the_same_upload_again_is_known_and_has_the_same_receipt(client: Client) -> None:
    first = client.put(body=BODY, Idempotency_Key='"one"')
    again = client.put(body=BODY, Idempotency_Key='"one"', If_None_Match="*")
    assert (first.status, again.status, again.content["status"]) == (201, 200, "known")
    assert first.content["delivery_id"] == again.content["delivery_id"]
    assert first.content["received_at"][:19] == again.content["received_at"][:19]
    assert client.archived() == [NAME]


def test_other_bytes_of_a_name_are_a_revision_unless_the_sender_asks_for_a_free_name(client: Client) -> None:
    client.put(body=BODY)
    taken = client.put(body=OTHER, If_None_Match="*")
    assert (taken.status, taken.content["code"], client.archived()) == (409, "TAKEN", [NAME])
    assert client.put(body=OTHER).status == 201
    assert client.archived() == [NAME, NAME]


def test_bytes_that_do_not_fit_their_digest_are_refused_and_noted(lake: Lake, tmp_path: Path) -> None:
    with upload_server(lake, tmp_path) as client:
        answer = client.put(body=BODY, Content_Digest=digest(OTHER))
        assert (answer.status, answer.content["code"], client.archived()) == (422, "BAD_DIGEST", [])
        assert client.put(body=BODY).status == 201
    rows = read_ops(lake, "receptions").select("source", "path", "state", "file_sha256").rows()
    other = hashlib.sha256(OTHER).hexdigest()
    assert rows == [("upload-moc", NAME, "refused", other), ("upload-moc", NAME, "landed", SHA256)]


def test_where_the_lake_is_gone_nothing_is_taken_and_no_other_lake_is_begun(client: Client, tmp_path: Path) -> None:
    assert client.put(body=BODY).status == 201
    (tmp_path / "lake").rename(tmp_path / "unmounted")
    refused = client.put(body=OTHER)
    assert (refused.status, refused.content["code"]) == (503, "FAILED")
    assert client.ask("HEAD", f"/{NAME}").status == 503
    assert not (tmp_path / "lake").exists()
    (tmp_path / "unmounted").rename(tmp_path / "lake")
    assert client.put(body=OTHER).status == 201


def test_a_digest_among_others_is_found(client: Client) -> None:
    several = f"unixsum=:MTIzNA==:, {digest(BODY)}"
    assert client.put(body=BODY, Content_Digest=several).status == 201


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Authorization": ""}, 401, "BAD_TOKEN"),
        ({"Authorization": "Bearer a-token-of-the-test-0002"}, 401, "BAD_TOKEN"),
        ({"Authorization": f"Basic {TOKEN}"}, 401, "BAD_TOKEN"),
        ({"Content_Digest": ""}, 400, "NO_DIGEST"),
        ({"Content_Digest": "sha-256=:bm9uZQ==:"}, 400, "NO_DIGEST"),
        ({"Content_Digest": "md5=:bm9uZQ==:"}, 400, "NO_DIGEST"),
        ({"Content_Encoding": "gzip"}, 415, "ENCODED"),
        ({"Content_Length": str(1 << 40)}, 413, "TOO_LARGE"),
        ({"Content_Length": "", "Transfer_Encoding": "chunked"}, 411, "NO_LENGTH"),
    ],
)
def test_a_request_is_refused_by_its_header(client: Client, headers: dict[str, str], status: int, code: str) -> None:
    body = b"7\r\npackets\r\n0\r\n\r\n" if "Transfer_Encoding" in headers else BODY
    answer = client.put(body=body, **headers)
    assert (answer.status, answer.content["code"], answer.content["status"]) == (status, code, "refused")
    assert client.archived() == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/other_file.dat", "BAD_MISSION"),
        (f"/{NAME}.gz", "UNKNOWN_EXT"),
        (f"/../{NAME}", "BAD_PATH"),
        (f"/%2e%2e/{NAME}", "BAD_PATH"),
        (f"//etc/{NAME}", "BAD_PATH"),
        (f"/{NAME}%00", "BAD_PATH"),
        (f"/%zz/{NAME}", "BAD_PATH"),
        (f"/a%4/{NAME}", "BAD_PATH"),
        (f"/%E2%80%AE{NAME}", "BAD_PATH"),
        (f"/%ff{NAME}", "BAD_PATH"),
        (f"/.{NAME}", "BAD_PATH"),
        (f"/{NAME}?overwrite=1", "BAD_PATH"),
        (f"/{'x' * 300}.dat", "BAD_PATH"),
        ("/", "BAD_PATH"),
    ],
)
def test_a_name_is_refused_with_its_reason(client: Client, path: str, code: str) -> None:
    answer = client.put(path, BODY)
    assert (answer.status, answer.content["code"], client.archived()) == (400, code, [])


def test_head_tells_the_size_and_digest_of_what_is_archived_and_nothing_gives_its_bytes(client: Client) -> None:
    assert [client.ask(method, f"/{NAME}").status for method in ("HEAD", "GET", "POST")] == [404, 404, 405]
    client.put(body=BODY)
    head, get = client.ask("HEAD", f"/{NAME}"), client.ask("GET", f"/{NAME}")
    assert (head.status, head.headers["content-length"]) == (200, str(len(BODY)))
    assert head.headers["repr-digest"] == digest(BODY)
    assert (get.status, get.content["sha256"]) == (405, SHA256)
    assert client.ask("DELETE", f"/{NAME}").status == 405


def test_whoever_waits_for_what_lands_is_told_of_each_new_file(lake: Lake, tmp_path: Path) -> None:
    told = list[str]()
    with serving(settings(tmp_path), Lander(lake), Health("watch"), lambda: told.append("landed")) as port:
        client = Client(port, lake)
        assert [client.put(body=body).status for body in (BODY, BODY, OTHER)] == [201, 200, 201]
    assert told == ["landed"] * 2


def test_health_needs_no_token_and_a_name_does(client: Client) -> None:
    assert client.ask("GET", "/health", headers={}).content == {"status": "up"}
    assert client.ask("HEAD", f"/{NAME}", headers={}).status == 401


def test_a_token_is_replaced_without_a_restart(client: Client, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"{TOKEN}\nanother-token-of-the-test\n")
    both = [client.put(body=BODY, Authorization=f"Bearer {t}") for t in (TOKEN, "another-token-of-the-test")]
    assert [answer.status for answer in both] == [201, 200]
    (tmp_path / "tokens").write_text("another-token-of-the-test\n")
    assert client.put(body=BODY).status == 401


@pytest.mark.parametrize("tls", [False, True])
def test_our_own_sender_delivers_to_it(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, tls: bool
) -> None:
    monkeypatch.setenv("SWX_TEST_TOKEN", TOKEN)
    pem = make_certificate(tmp_path / "server.pem")
    source, corrected = tmp_path / "a", tmp_path / "b"
    source.write_bytes(BODY)
    corrected.write_bytes(OTHER)
    with upload_server(lake, tmp_path, **({"certificate": pem, "key": pem} if tls else {})) as client:
        url = f"{'https' if tls else 'http'}://127.0.0.1:{client.port}/in"
        way = HttpsWay(url=url, token_env="SWX_TEST_TOKEN", ca_file=pem if tls else None)  # noqa: S106  a variable
        with open_way("recipient lake", way) as transport:
            assert transport.size(NAME) is None
            assert transport.put(NAME, source) is False
            assert (transport.size(NAME), transport.sha256(NAME)) == (len(BODY), SHA256)
            with pytest.raises(PathError, match="is there already"):
                transport.put(NAME, corrected)
            transport.put(NAME, corrected, replace=True)
            assert transport.size(NAME) == len(OTHER)
            with pytest.raises(PathError, match="HTTP 400"):
                transport.put("notes.txt", source)


def test_the_lines_of_the_manual_send_a_file_and_ask_for_it(client: Client, tmp_path: Path) -> None:
    page = (CHECKOUT / "docs/how-to/take-uploads.md").read_text()
    lines = [block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "curl" in block]
    (tmp_path / "moc.header").write_text(f"Authorization: Bearer {TOKEN}\n")
    (tmp_path / NAME).write_bytes(BODY)
    script = "".join(lines).replace("--cacert lake.pem ", "")
    surroundings = {"PATH": os.environ["PATH"], "file": NAME, "lake": f"http://127.0.0.1:{client.port}"}
    shell = ["sh", "-ec", script]
    done = subprocess.run(shell, cwd=tmp_path, env=surroundings, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (client.archived(), SHA256 in done.stdout, digest(BODY) in done.stdout) == ([NAME], True, True)


def test_a_lake_in_object_storage_takes_uploads_as_well(definitions: Definitions, s3_root: str, tmp_path: Path) -> None:
    with upload_server(Lake(s3_root, definitions), tmp_path) as client:
        answers = [client.put(body=BODY, If_None_Match="*").status for _ in range(2)]
        assert (answers, client.put(body=OTHER, If_None_Match="*").status) == ([201, 200], 409)
        assert client.ask("HEAD", f"/{NAME}").headers["repr-digest"] == digest(BODY)
        assert client.archived() == [NAME]
