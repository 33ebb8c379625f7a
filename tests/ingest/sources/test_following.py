# SPDX-License-Identifier: Apache-2.0
"""Sources on threads of their own: news shorten the wait, one that hangs holds up no other, and all end when asked."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ingest.sources import following
from ingest.sources.folder import open_folder
from ingest.sources.following import Following, Gauges, receive_all
from ingest.sources.lander import Lander
from ingest.sources.nouns import News
from ingest.sources.rounds import Round
from ingest.sources.settings import SourceSettings
from lake.errors import WayError
from lake.health import Health
from lake.store import RawArchive
from lake.ways.settings import FolderWay
from lake.ways.transport import Found
from tests.ingest.sources.dropping import NAMES, source_settings
from tests.meddea import NOW, drop, empty_lake, housekeeping

PATIENCE = 20.0


class Watched:
    """Sources that are followed until the end of a test."""

    def __init__(self, place: Path) -> None:
        self.place, self.stop, self.rounds = place, threading.Event(), list[Round]()
        self.lander = Lander(empty_lake(place / "lake"))
        self.gauges = Gauges(Health("watch"))
        self.threads = list[Following]()

    def follow(self, name: str, settings: SourceSettings) -> Following:
        thread = Following(name, settings, self.lander, self.gauges, self.stop, self.rounds.append)
        self.threads.append(thread)
        thread.start()
        return thread

    def landed(self) -> set[str]:
        archive = RawArchive(self.lander.lake)
        return {archive.receipt(stored).name for stored in archive.keys().values()}

    def has_landed(self, name: str) -> bool:
        return until(lambda: name in self.landed())


def until(reached: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.02)
    return reached()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    (tmp_path / "drop").mkdir()
    watched = Watched(tmp_path)
    yield watched
    watched.stop.set()
    for thread in watched.threads:
        thread.join(5)


def test_news_bring_a_file_long_before_the_next_listing(watched: Watched, tmp_path: Path) -> None:
    watched.follow("moc", source_settings(tmp_path / "drop", every_seconds=3600, subfolders=True))
    assert until(lambda: len(watched.rounds) >= 2)  # the first listing, and the one after the watch began
    drop(tmp_path / "drop", NAMES[0], housekeeping(0))
    assert watched.has_landed(NAMES[0])
    shutil.copytree(tmp_path / "drop", tmp_path / "other/pass")
    (tmp_path / "other/pass" / NAMES[0]).rename(tmp_path / "other/pass" / NAMES[1])
    (tmp_path / "other/pass").rename(tmp_path / "drop/pass")
    assert watched.has_landed(NAMES[1])


def test_without_any_news_a_listing_finds_what_came(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.sources.folder.FolderSource.news", lambda _, seconds: time.sleep(min(seconds, 0.05)))
    watched.follow("moc", source_settings(tmp_path / "drop", every_seconds=0.1))
    assert until(lambda: len(watched.rounds) >= 2)
    drop(tmp_path / "drop", NAMES[0], housekeeping(0))
    assert watched.has_landed(NAMES[0])


def test_a_folder_that_is_removed_and_made_again_is_followed_on(watched: Watched, tmp_path: Path) -> None:
    watched.follow("moc", source_settings(tmp_path / "drop", every_seconds=0.2))
    drop(tmp_path / "drop", NAMES[0], housekeeping(0))
    assert watched.has_landed(NAMES[0])
    shutil.rmtree(tmp_path / "drop")
    time.sleep(0.3)
    drop(tmp_path / "drop", NAMES[1], housekeeping(1))
    assert watched.has_landed(NAMES[1])


def test_a_source_that_hangs_holds_up_no_other_and_not_the_end(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = threading.Event()
    original = following.open_source

    def opened(name: str, settings: SourceSettings) -> object:
        if name == "dead":
            hung.wait(PATIENCE)
            raise WayError("source dead: no answer.")
        return original(name, settings)

    monkeypatch.setattr(following, "open_source", opened)
    watched.follow("dead", source_settings(tmp_path / "drop"))
    alive = watched.follow("moc", source_settings(tmp_path / "drop", every_seconds=0.2))
    drop(tmp_path / "drop", NAMES[0], housekeeping(0))
    assert watched.has_landed(NAMES[0])
    watched.stop.set()
    alive.join(2)
    assert not alive.is_alive()
    hung.set()


def test_a_source_is_asked_again_after_it_could_not_be_reached(watched: Watched, tmp_path: Path) -> None:
    watched.follow("moc", source_settings(tmp_path / "later", every_seconds=0.1))
    time.sleep(0.2)
    drop(tmp_path / "later", NAMES[0], housekeeping(0))
    assert watched.has_landed(NAMES[0])


def test_health_tells_what_came_and_how_old_the_last_listing_is(watched: Watched, tmp_path: Path) -> None:
    drop(tmp_path / "drop", NAMES[0], housekeeping(0))
    watched.follow("moc", source_settings(tmp_path / "drop", every_seconds=0.1))
    assert watched.has_landed(NAMES[0])
    text = 'swxlake_watch_files_total{source="moc",state="landed"} 1.0'
    assert until(lambda: text in watched.gauges.health.exposition().decode())
    watched.stop.set()
    watched.threads[0].join(5)
    watched.gauges.listed["moc"] = NOW.timestamp() - 90
    watched.gauges.beat(NOW)
    assert 'swxlake_watch_listing_age_seconds{source="moc"} 90.0' in watched.gauges.health.exposition().decode()


def test_a_round_over_all_sources_tells_of_each_what_came_or_why_not(tmp_path: Path) -> None:
    drop(tmp_path / "drop", NAMES[0], housekeeping(0))
    sources = {"moc": source_settings(tmp_path / "drop"), "gone": source_settings(tmp_path / "nowhere")}
    results = receive_all(Lander(empty_lake(tmp_path / "lake")), sources)
    assert isinstance(results["moc"], Round)
    assert results["moc"].counts == {"landed": 1}
    assert str(results["gone"]).startswith(f"source gone: {tmp_path}/nowhere is no folder.")


def test_a_round_waits_once_for_files_to_settle(tmp_path: Path) -> None:
    drop(tmp_path / "drop", NAMES[0], housekeeping(0))
    results = receive_all(
        Lander(empty_lake(tmp_path / "lake")), {"moc": source_settings(tmp_path / "drop", settle_seconds=0.1)}
    )
    assert isinstance(results["moc"], Round)
    assert results["moc"].counts == {"landed": 1}


class Remote:
    """A source elsewhere: what it lists and how it gives it is up to the test."""

    name, whole = "far", True

    def __init__(self, place: Path, lost_after: int | None = None) -> None:
        self.folder, self.left = open_folder("far", FolderWay(path=place)), lost_after
        self.dealt = list[News]()

    def __getattr__(self, name: str) -> object:
        return getattr(self.folder, name)

    def local(self, _: str) -> None:
        return None

    def fetch(self, path: str, target: Path, most: int | None = None) -> str:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise WayError("source far: the line is cut.")
        return self.folder.fetch(path, target, most)


class Refusing(Remote):
    """A source whose queue refuses to give news, or to hear that they were dealt with."""

    def __init__(self, place: Path, refused: str) -> None:
        super().__init__(place)
        self.refuses, self.listings = refused, 0

    def offered(self, paths: frozenset[str] | None = None) -> Iterator[Found]:
        self.listings += paths is None
        return self.folder.offered(paths)

    def news(self, _: float) -> News:
        self._refuse("news")
        return News(frozenset({NAMES[0]}))

    def dealt_with(self, _: News) -> None:
        self._refuse("dealt_with")

    def _refuse(self, call: str) -> None:
        if call == self.refuses:
            self.dealt.append(News())
            raise WayError("source far: the queue refuses (AccessDenied).")


@pytest.mark.parametrize("refused", ["news", "dealt_with"])
def test_a_queue_that_refuses_is_asked_less_and_less_and_makes_no_listings(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    source = Refusing(tmp_path / "drop", refused)
    monkeypatch.setattr(following, "open_source", lambda *_: source)
    monkeypatch.setattr(following, "pause", lambda failures: 0.01 * 2**failures)
    thread = watched.follow("far", source_settings(tmp_path / "drop", every_seconds=3600))
    assert until(lambda: thread.deaf >= 4)
    time.sleep(0.2)
    assert (source.listings, thread.failures, len(source.dealt) < 8) == (1, 0, True)


def test_a_file_without_its_marker_makes_no_listings_of_its_own(watched: Watched, tmp_path: Path) -> None:
    drop(tmp_path / "drop", NAMES[0], housekeeping(0))
    settings = source_settings(tmp_path / "drop", complete="marker", settle_seconds=0.1, every_seconds=3600)
    watched.follow("moc", settings)
    assert until(lambda: len(watched.rounds) >= 2)  # the first listing, and the one after the watch began
    time.sleep(0.8)
    assert (len(watched.rounds), watched.rounds[-1].unsettled) == (2, 0)
    text = 'swxlake_watch_waiting_files{source="moc"} 1.0'
    assert text in watched.gauges.health.exposition().decode()
    (tmp_path / "drop" / f"{NAMES[0]}.done").touch()
    assert watched.has_landed(NAMES[0])


def test_what_was_fetched_before_a_line_was_cut_is_landed_and_the_rest_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        drop(tmp_path / "drop", NAMES[number], housekeeping(number))
    settings = SourceSettings.model_validate({"s3": {"address": "s3://some-bucket/prefix"}})
    lander = Lander(empty_lake(tmp_path / "lake"))
    for lost_after, counts in ((3, "source far: the line is cut."), (None, {"landed": 1})):
        remote = Remote(tmp_path / "drop", lost_after)
        monkeypatch.setattr(following, "open_source", lambda *_, at=remote: at)
        result = receive_all(lander, {"far": settings})["far"]
        assert (result if isinstance(result, str) else result.counts) == counts
    assert len(RawArchive(lander.lake).keys()) == 4
    assert list((tmp_path / "lake").glob(".scratch-*/*/*")) == []


def test_an_object_that_became_another_one_while_it_was_fetched_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drop(tmp_path / "drop", NAMES[0], housekeeping(0))
    remote = Remote(tmp_path / "drop")
    settings = SourceSettings.model_validate({"s3": {"address": "s3://some-bucket/prefix"}})

    def fetch(_: str, target: Path, __: int | None = None) -> str:
        target.write_bytes(path.read_bytes()[:20])
        return "0" * 64

    remote.fetch = fetch  # type: ignore[method-assign]
    monkeypatch.setattr(following, "open_source", lambda *_: remote)
    lander = Lander(empty_lake(tmp_path / "lake"))
    result = receive_all(lander, {"far": settings})["far"]
    assert isinstance(result, Round)
    assert (result.counts, RawArchive(lander.lake).keys()) == ({"failed": 1}, {})


def test_news_are_dealt_with_after_what_they_name_was_landed(tmp_path: Path) -> None:
    done = list[str]()
    watched = Watched(tmp_path)
    drop(tmp_path / "drop", NAMES[0], housekeeping(0))
    source = SimpleNamespace(
        news=lambda _: News(frozenset({NAMES[0]})),
        dealt_with=lambda _: done.extend(watched.landed()),
        offered=open_folder("moc", FolderWay(path=tmp_path / "drop")).offered,
        local=lambda path: tmp_path / "drop" / path,
    )
    thread = Following(
        "moc", source_settings(tmp_path / "drop"), watched.lander, watched.gauges, watched.stop, watched.rounds.append
    )
    from ingest.sources.books import Books  # noqa: PLC0415
    from ingest.sources.rounds import Follower  # noqa: PLC0415

    follower = Follower("moc", thread.settings, watched.lander, Books(watched.lander.lake))
    thread._after_news(follower, source, time.monotonic() + 1)  # type: ignore[arg-type]
    assert done == [NAMES[0]]
