# SPDX-License-Identifier: Apache-2.0
"""Products on their way to four recipients at once: real servers that are down, slow, killed, and lose files."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.config import Settings
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError
from lake.ledger import read_ops
from lake.storage import open_storage
from lake.store import Lake
from swxlake.delivering import approve_product, deliver, plan, run, status, withdraw_file
from swxlake.outcome import Outcome
from tests.exports.delivery.stage import BOX, CRATE, DAYS, feed, path_of, publish, stage, write_definitions
from tests.servers import CHECKOUT, wait_until
from tests.sftp_server import PASSWORD, SftpServer, sftp_server
from tests.upload_server import TOKEN, UploadServer, upload_server

RECIPIENTS = "spdf", "cloud", "shelf", "sdac"
HOUSEKEEPING = "padre/meddea/padre_meddea_l1-housekeeping/2024/padre_meddea_l1-housekeeping"
NEWEST = (
    f"{HOUSEKEEPING}_20240916_v1.0.1.cdf",
    "padre/meddea/padre_meddea_l1-photon/2024/padre_meddea_l1-photon_20240916_v1.0.0.cdf",
    f"{HOUSEKEEPING}_20240917_v1.0.0.cdf",
)  # in the order in which they are sent; version 1.0.0 of the first is superseded
RULE = {"levels": ["l1"], "min_version": "1.0", "versions": "latest"}
POLL_SECONDS = 0.01


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWX_SFTP_PASSWORD", PASSWORD)
    monkeypatch.setenv("SWX_HTTPS_TOKEN", TOKEN)


@dataclass
class Scene:
    """A lake, its recipients, and what the lake has published."""

    lake: Lake
    folder: Path
    settings: Settings = field(default_factory=Settings)

    def write(self, ways: dict[str, dict[str, Any]], also: str = "", **facts: Any) -> None:
        """Write delivery.toml: recipients by name with their ways, all with the same rule."""
        lines = [f"lake = {_toml(self.lake.root)}", also]
        for name, way in ways.items():
            lines += [f"[recipients.{name}]", *(f"{key} = {_toml(value)}" for key, value in (way | facts).items())]
            lines += [f"[[recipients.{name}.send]]", *(f"{key} = {_toml(value)}" for key, value in RULE.items())]
        path = self.folder / "delivery.toml"
        path.write_text("\n".join(lines))
        self.settings = Settings(root=self.lake.root, delivery=path)

    def deliver(self, verify: bool = False) -> Outcome:
        return deliver(self.lake, self.settings, verify=verify)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", "from swxlake.cli import main; main()", "deliver", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        path = str(self.settings.delivery)
        missions = str(self.lake.definitions.path)
        return {
            **os.environ,
            "SWXLAKE_DELIVERY": path,
            "SWXLAKE_ROOT": str(self.lake.root),
            "SWXLAKE_MISSIONS": missions,
        }

    def sent(self, recipient: str) -> Counter[str]:
        """How often the ledger says of each file that it was delivered."""
        rows = read_ops(self.lake, "deliveries").filter(
            pl.col("recipient") == recipient, pl.col("event") == "delivered"
        )
        return Counter(rows["path"])

    def hashes(self) -> dict[str, str]:
        """sha256 of each published file by its name."""
        rows = read_ops(self.lake, "exports").select("path", "sha256").iter_rows()
        return {path.rpartition("/")[2]: sha256 for path, sha256 in rows}


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items() if one is not None) + "}"
    return json.dumps(str(value) if isinstance(value, Path) else value)


@dataclass
class Servers:
    """The servers of a test, and where each recipient's files really are."""

    web: UploadServer
    ssh: SftpServer
    shelf: Path
    bucket: str

    def ways(self) -> dict[str, dict[str, Any]]:
        return {
            "spdf": {"sftp": self.ssh.way()},
            "cloud": {"s3": {"address": self.bucket}, "pull": True},
            "shelf": {"folder": {"path": self.shelf}, "pull": True},
            "sdac": {"https": self.web.way()},
        }

    def products(self, recipient: str) -> dict[str, str]:
        """sha256 of each product at a recipient by its path, read by another way than delivery's."""
        if recipient == "cloud":
            storage = open_storage(self.bucket)
            keys = [entry.key for entry in storage.entries("") if entry.key.endswith(".cdf")]
            found = {key: storage.read(key) for key in keys if not key.startswith("masters/")}
        else:
            root = {"spdf": self.ssh.folder, "shelf": self.shelf, "sdac": self.web.folder}[recipient]
            found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("padre/**/*.cdf")}
        return {path: hashlib.sha256(content).hexdigest() for path, content in found.items()}


@pytest.fixture
def scene(kept: Lake, tmp_path: Path) -> Scene:
    return Scene(kept, tmp_path)


@pytest.fixture
def servers(tmp_path: Path, s3_root: str) -> Iterator[Servers]:
    """All four; the one of SFTP has been started once and is down."""
    (tmp_path / "shelf").mkdir()
    with ExitStack() as stack:
        web = stack.enter_context(upload_server(tmp_path / "sdac", tmp_path / "web"))
        ssh = stack.enter_context(sftp_server(tmp_path / "spdf", tmp_path / "ssh"))
        ssh.running.kill()
        yield Servers(web, ssh, tmp_path / "shelf", f"{s3_root}/partner")


@contextmanager
def polled(root: Path, hashes: dict[str, str]) -> Iterator[list[str]]:
    """Look at all that is visible below a folder every 10 ms; fills the list with what was not whole.

    What has not changed since the look before is not read again.
    """
    wrong: list[str] = []
    over = threading.Event()
    looks: list[float] = []
    known: set[tuple[Path, int, int]] = set()

    def look() -> None:
        while not over.wait(POLL_SECONDS):
            looks.append(time.monotonic())
            for path in _visible(root):
                status = path.stat()
                if (found := (path, status.st_ino, status.st_size)) not in known:
                    wrong.extend([] if _whole(path, hashes) else [path.name])
                    known.add(found)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()
    assert len(looks) > 100


def _visible(root: Path) -> Iterator[Path]:
    files = (path for path in root.rglob("*") if path.is_file())
    return (path for path in files if path.relative_to(root).parts[0] != ".incoming")


def _whole(path: Path, hashes: dict[str, str]) -> bool:
    content = path.read_bytes()
    if path.name in hashes:
        return hashlib.sha256(content).hexdigest() == hashes[path.name]
    try:
        return bool([json.loads(line) for line in (content.splitlines() if path.suffix == ".jsonl" else [content])])
    except ValueError:
        return False


def test_all_is_delivered_and_nothing_twice_whatever_goes_down(scene: Scene, servers: Servers) -> None:
    scene.write(servers.ways())
    hashes = scene.hashes()
    wanted = {path: hashes[path.rpartition("/")[2]] for path in NEWEST}

    # The first run finds the SFTP server down: that is a problem of its own, and of nobody else.
    first = scene.deliver()
    (problem,) = first.problems
    assert problem.startswith("recipient spdf: sftp://127.0.0.1:")
    assert "Connection refused" in problem
    assert first.facts["delivery"] == {"sent": 9, "waiting": 3}
    assert [servers.products(name) for name in RECIPIENTS] == [{}, wanted, wanted, wanted]

    # The second is killed when one file has its name there, and the next one is on its way.
    again = sftp_server(servers.ssh.folder, servers.ssh.running.log.parent, servers.ssh.running.port)
    with again as ssh:
        with polled(servers.ssh.folder, hashes) as wrong:
            ssh.running.say(slow=0.3)
            with subprocess.Popen(scene.command(), env=scene.environment, cwd=CHECKOUT) as process:
                wait_until(lambda: len(ssh.running.calls("write")) == 2, 120)
                process.send_signal(signal.SIGKILL)
            assert process.returncode == -signal.SIGKILL
            # What failed in the first run comes last in the second.
            assert list(servers.products("spdf")) == [NEWEST[1]]
            (half,) = (ssh.folder / ".incoming").iterdir()
            assert half.stat().st_size < 40_000

            # The third finishes it, and the fourth has nothing to do.
            ssh.running.say()
            third = scene.deliver()
            assert (third.problems, third.facts["delivery"]) == ([], {"sent": 2, "already_there": 1, "waiting": 0})
            assert scene.deliver().facts["delivery"] == {"sent": 0, "waiting": 0}
        assert wrong == []
        assert [servers.products(name) for name in RECIPIENTS] == [wanted] * 4
        assert list((ssh.folder / ".incoming").iterdir()) == [half]  # out of sight, and removed when it is a day old
        once(scene, ssh, servers.web)
        lose_and_find(scene, servers)
    assert [servers.products(name) for name in RECIPIENTS] == [wanted] * 4


def once(scene: Scene, ssh: SftpServer, web: UploadServer) -> None:
    """Nothing was sent twice, say the servers and the ledger; and all of it was read back."""
    once_each = dict.fromkeys(NEWEST, 1)
    named = Counter(name.removeprefix("./") for name in ssh.running.calls("named"))
    stored = Counter(name.removeprefix("/") for name in web.running.calls("stored"))
    assert [{path: calls[path] for path in NEWEST} for calls in (named, stored)] == [once_each] * 2
    assert [scene.sent(name) for name in RECIPIENTS] == [once_each] * 4
    rows = read_ops(scene.lake, "deliveries").filter(pl.col("event") == "delivered")
    assert rows["verified_at"].null_count() == 0


def lose_and_find(scene: Scene, servers: Servers) -> None:
    """Each recipient loses or spoils a file; that is found, told, and made good."""
    (servers.ssh.folder / NEWEST[0]).unlink()
    (servers.shelf / NEWEST[1]).write_bytes(b"spoiled")
    open_storage(servers.bucket).remove(NEWEST[2])
    (servers.web.folder / NEWEST[0]).write_bytes(b"")
    checked = scene.deliver(verify=True)
    assert checked.problems == [
        f"recipient spdf: {NEWEST[0]} is missing there",
        f"recipient cloud: {NEWEST[2]} is missing there",
        f"recipient shelf: {NEWEST[1]} has changed there",
        f"recipient sdac: {NEWEST[0]} has changed there",
    ]
    assert (checked.exit_code, checked.facts["delivery"]) == (1, {"sent": 4, "verified": 8, "lost": 4, "waiting": 0})
    settled = scene.deliver(verify=True)
    assert (settled.problems, settled.facts["delivery"]) == ([], {"sent": 0, "verified": 12, "waiting": 0})


def test_what_may_not_go_out_is_refused_with_the_reason(tmp_path: Path) -> None:
    scene = Scene(stage(tmp_path), tmp_path)
    (tmp_path / "public").mkdir()
    embargo = f'[[embargo]]\nproducts = ["{BOX}"]\nuntil = 2099-01-01\nwhy = "not validated"\n'
    scene.write({"public": {"folder": {"path": "public"}}}, embargo)
    refused = scene.deliver()
    assert refused.problems == [
        f"{BOX} -> public: 3 days not delivered; is embargoed until 2099-01-01: not validated",
        f"{CRATE} -> public: 3 days not delivered; rests on an assumption: Status of the instrument's definition: "
        "assumed. Nobody has seen one.",
    ]
    assert (refused.exit_code, refused.facts["delivery"]) == (1, {"sent": 0, "waiting": 0, "refused": 2})
    assert plan(scene.lake, scene.settings, None, everything=True).problems == refused.problems
    assert list((tmp_path / "public").iterdir()) == []
    (row,) = status(scene.lake, scene.settings).tables["recipients"]
    assert (row["has"], row["waiting"], row["last_delivered"]) == (0, 0, None)


def test_an_approved_product_goes_out_and_a_withdrawn_one_is_told_of(tmp_path: Path) -> None:
    scene = Scene(stage(tmp_path), tmp_path)
    (tmp_path / "public").mkdir()
    approval = f'[[approval]]\nproducts = ["{BOX}"]\nwhy = "first light"\n'
    scene.write({"public": {"folder": {"path": "public"}, "remove_withdrawn": True}}, approval)
    assert f"{BOX} -> public: 3 days not delivered; waits for approval (first light)" in scene.deliver().problems[0]
    decided = ("A. Scientist", "looked at it")
    assert approve_product(scene.lake, scene.settings, f"{BOX}@{DAYS[0]}", *decided).exit_code == 0
    assert scene.deliver().facts["delivery"]["sent"] == 1
    assert (tmp_path / "public" / path_of(BOX, DAYS[0])).is_file()
    with pytest.raises(ConfigurationError, match=r"was approved by A\. Scientist at .*: looked at it"):
        approve_product(scene.lake, scene.settings, f"{BOX}@{DAYS[0]}", "Another", "again")
    withdraw_file(scene.lake, path_of(BOX, DAYS[0]), "A. Scientist", "wrong gain")
    assert scene.deliver().facts["delivery"]["withdrawn"] == 1
    assert not (tmp_path / "public" / path_of(BOX, DAYS[0])).exists()
    assert feed(tmp_path / "public")[-1] == ("withdrawn", path_of(BOX, DAYS[0]))
    assert status(scene.lake, scene.settings).tables["recipients"][0]["has"] == 0


def test_a_lake_in_s3_delivers_as_one_in_a_folder(tmp_path: Path, s3_root: str) -> None:
    scene = Scene(Lake(s3_root, read_definitions(write_definitions(tmp_path))), tmp_path)
    publish(scene.lake, *((BOX, day, "1.0.0") for day in DAYS))
    (tmp_path / "shelf").mkdir()
    scene.write({"shelf": {"folder": {"path": "shelf"}}, "cloud": {"s3": {"address": f"{s3_root}-partner"}}})
    assert scene.deliver().facts["delivery"] == {"sent": 6, "waiting": 0}
    scene.lake.storage.remove(scene.lake.storage.key(scene.lake.storage.uri("catalog.duckdb")))
    assert scene.deliver(verify=True).facts["delivery"] == {"sent": 0, "verified": 6, "waiting": 0}
    partner = open_storage(f"{s3_root}-partner")
    assert partner.read(path_of(BOX, DAYS[0])) == (tmp_path / "shelf" / path_of(BOX, DAYS[0])).read_bytes()


def test_the_command_never_shows_a_secret(tmp_path: Path) -> None:
    scene = Scene(stage(tmp_path), tmp_path)
    with (
        upload_server(tmp_path / "sdac", tmp_path / "web") as web,
        sftp_server(tmp_path / "spdf", tmp_path / "ssh") as ssh,
    ):
        scene.write({"spdf": {"sftp": ssh.way()}, "sdac": {"https": web.way()}})
        web.running.say(status=500)
        done = subprocess.run(
            scene.command("-vv"), env=scene.environment, cwd=CHECKOUT, capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert "the server failed. Repeat later (HTTP 500)" in done.stdout
    assert path_of(BOX, DAYS[2]) in {path.relative_to(ssh.folder).as_posix() for path in ssh.folder.rglob("*.cdf")}
    for secret in (PASSWORD, TOKEN):
        assert secret not in done.stdout + done.stderr


def test_without_settings_the_command_says_what_to_do(tmp_path: Path) -> None:
    scene = Scene(stage(tmp_path), tmp_path, settings=Settings(delivery=None))
    assert scene.deliver() == Outcome()
    with pytest.raises(ConfigurationError, match=r"there is no delivery\.toml here, and SWXLAKE_DELIVERY names none"):
        run(scene.lake, scene.settings, None, verify=False)
    scene.write({})
    with pytest.raises(ConfigurationError, match=r"delivery\.toml: has no recipient\. Add \[recipients\.NAME\]"):
        run(scene.lake, scene.settings, None, verify=False)
