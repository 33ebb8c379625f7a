# SPDX-License-Identifier: Apache-2.0
"""Nothing that breaks a rule is published: no version is given out to it, other days go out, and it is tried again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exports.books import read_books
from exports.export import _Run, export_all
from exports.inspection import Around, inspect, require, span_of
from exports.making import Maker
from exports.product import write_product
from exports.rules.delivery import Span
from exports.rules.nouns import RefusedError, error
from exports.rules.skteditor import JARS
from exports.versions import Version, newest_versions
from lake.clock import tt2000_of_day
from lake.errors import ConfigurationError
from lake.files import sha256_of
from lake.ledger import read_ops
from lake.store import Journal, Lake
from lake.tables import append_ops, replace_ops
from swxlake.cli import app  # noqa: TID251  what people type is tried
from tests.exports.conftest import EDITION, MIDNIGHT, Sample, make_sample
from tests.toy import DAY, L1, TRANSFORMS, receive
from tests.toy_product import build, exported, lake_with_product, last_row, now, rewrite

pytest.importorskip("spacepy.pycdf", reason="needs NASA's CDF library")
from tests.exports.rules import mutations as m

LAST = MIDNIGHT + 199 * 10_000_000_000  # of 200 records, one every 10 s
NEXT_DAY = DAY + timedelta(days=1)


# ---- one file ------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def housekeeping(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, Path]:
    sample = make_sample("l1_housekeeping")
    path = sample.path(tmp_path_factory.mktemp("file"))
    write_product(sample.structure, path, sample.batches, sample.records, sample.edition)
    return sample, path


def rules(sample: Sample, path: Path, around: Around) -> set[str]:
    return {finding.rule for finding in inspect(path, sample.structure, sample.edition, around).errors}


def test_an_inspection_says_when_the_file_begins_and_ends(housekeeping: tuple[Sample, Path]) -> None:
    sample, path = housekeeping
    inspection = inspect(path, sample.structure, sample.edition, Around())
    assert (inspection.first_epoch, inspection.last_epoch) == (MIDNIGHT, LAST)
    assert span_of(path) == Span(path.name, MIDNIGHT, LAST)


def test_days_follow_each_other_without_a_time_twice(housekeeping: tuple[Sample, Path]) -> None:
    before, after = Span("before", MIDNIGHT - 100, MIDNIGHT - 1), Span("after", LAST + 1, LAST + 2)
    assert rules(*housekeeping, Around(before, after)) == set()
    assert rules(*housekeeping, Around(before=replace(before, last=MIDNIGHT))) == {"D03"}
    assert rules(*housekeeping, Around(after=replace(after, first=LAST))) == {"D03"}


def test_a_version_is_above_all_that_were_given_out(housekeeping: tuple[Sample, Path]) -> None:
    assert rules(*housekeeping, Around(given_out=frozenset({Version(0, 9, 9)}))) == set()
    for known in (Version(1, 0, 0), Version(1, 0, 1)):
        assert rules(*housekeeping, Around(given_out=frozenset({known}))) == {"D04"}


def test_a_file_of_another_edition_is_stopped(housekeeping: tuple[Sample, Path]) -> None:
    sample, path = housekeeping
    later = replace(EDITION, generation_date=date(2026, 1, 3))
    findings = inspect(path, sample.structure, later, Around()).errors
    assert [(f.rule, f.where) for f in findings] == [("D05", "Generation_date")]


def test_a_refused_file_is_gone_and_its_findings_are_told(housekeeping: tuple[Sample, Path], tmp_path: Path) -> None:
    sample, path = housekeeping
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    m.edited(m.without("spare", "DEPEND_0"))(copy)
    with pytest.raises(
        RefusedError, match=r"V05 spare: varies by record and has no DEPEND_0\. Name its epoch"
    ) as refused:
        require(copy, inspect(copy, sample.structure, sample.edition, Around()))
    assert not copy.exists()
    assert {"V05", "M03", "M09", "G03"} == {finding.rule for finding in refused.value.findings}


# ---- exports -------------------------------------------------------------------------------------------------------
@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """With one day that was not exported yet."""
    with lake_with_product(tmp_path, monkeypatch) as made:
        yield made


def spoil(monkeypatch: pytest.MonkeyPatch, ways: dict[date, m.How]) -> None:
    """From now on, the files of some days come out spoiled, as if the writer had an error."""
    write = Maker.write

    def written(self: Maker, *arguments: Any) -> Any:
        good = write(self, *arguments)
        if self.subject.day not in ways:
            return good
        path = ways[self.subject.day](good.path)
        return replace(good, path=path, bytes=path.stat().st_size, sha256=sha256_of(path))

    monkeypatch.setattr(Maker, "write", written)


def files(lake: Lake) -> list[str]:
    return sorted(entry.key.rpartition("/")[2] for entry in lake.storage.entries("exports/"))


def day_later(number: int) -> date:
    return DAY + timedelta(days=number)


NO_EPOCH = m.edited(m.without("voltage_v", "DEPEND_0"))
# Behavior 16 of the operations list: what was broken, and the rules that say so.
BROKEN = {
    day_later(1): (m.edited(m.put("Logical_file_id", "toy_box_l1-tick_20240917_v9.0.0")), {"G08", "D01"}),
    day_later(2): (
        m.edited(m.values("Epoch", ..., [tt2000_of_day(day_later(9)) + i for i in range(3)])),
        {"G20", "D02"},
    ),
    day_later(3): (NO_EPOCH, {"V05", "M03"}),
    day_later(4): (m.edited(m.attribute("voltage_v", "FILLVAL", -1e31, "CDF_REAL4")), {"V22", "M04"}),
    day_later(5): (m.edited(m.values("Epoch", 2, tt2000_of_day(day_later(5)))), {"V23"}),
    day_later(6): (m.edited(m.removed("halves_v")), {"M01"}),
}


def test_only_good_files_are_published_and_the_command_line_says_why_others_are_not(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i, day in enumerate(BROKEN):
        receive(lake, f"day{i}", [1, 2, 3], day)
    build(lake)
    monkeypatch.setenv("SWXLAKE_MISSIONS", str(lake.definitions.path))
    command = ["export", L1, "--root", str(lake.root)]
    with monkeypatch.context() as broken:
        spoil(broken, {day: how for day, (how, _) in BROKEN.items()})
        done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert files(lake) == ["toy_box_l1-tick_20240916_v1.0.0.cdf"]
    assert Journal(lake).keys("versions") == ["toy_box_l1-tick_20240916_v1.0.0"]
    for day, (_, expected) in BROKEN.items():
        lines = [line for line in done.stdout.splitlines() if line.startswith(f"problem      {L1}@{day}: ")]
        assert {rule for rule in expected if not any(f": {rule} " in line for line in lines)} == set(), lines
    again = CliRunner().invoke(app, command)  # with a writer without error
    assert again.exit_code == 0, again.stdout
    assert files(lake) == [f"toy_box_l1-tick_{day_later(i):%Y%m%d}_v1.0.0.cdf" for i in range(7)]


def test_a_refused_day_keeps_what_was_published_and_leaves_nothing_behind(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exported(lake)
    before, row = files(lake), last_row(lake)
    rewrite(tmp_path, TRANSFORMS.replace("float(factor)", "float(factor) * 10"))
    build(lake)
    with monkeypatch.context() as broken:
        spoil(broken, {DAY: NO_EPOCH})
        done = exported(lake)
    ((table, day, findings),) = done.refused
    assert (table, day, {f.rule for f in findings}) == (L1, DAY, {"V05", "M03", "M09", "G03", "V31"})
    assert (done.published, done.failed, files(lake), last_row(lake)) == ([], [], before, row)
    assert newest_versions(Journal(lake)) == {"toy_box_l1-tick_20240916": Version(1, 0, 0)}
    assert Journal(lake).keys("generations") == []  # or new days would start at a generation that never was
    assert [key.rpartition("_")[2] for key in exported(lake).published] == ["v1.1.0.cdf"]


def test_warnings_are_counted(lake: Lake) -> None:
    assert exported(lake).warnings == {"G03": 2, "V31": 1}  # no DOI, no SPASE id, no quality flag
    assert exported(lake).warnings == {}  # nothing was written


def test_an_export_notes_when_its_file_begins_and_ends(lake: Lake) -> None:
    exported(lake)
    row, midnight = last_row(lake), tt2000_of_day(DAY)
    assert (row["first_epoch_tt2000"], row["last_epoch_tt2000"]) == (midnight, midnight + 2 * 10**9)


def spans(lake: Lake, day: date) -> tuple[Span | None, Span | None]:
    """What the files of the days before and after a day are known to hold."""
    run = _Run(now(lake), "run", False, read_books(now(lake)), None)
    return run._span(L1, day - timedelta(days=1)), run._span(L1, day + timedelta(days=1))


def test_a_neighbor_of_an_older_lake_is_read(lake: Lake) -> None:
    exported(lake)
    midnight = tt2000_of_day(DAY)
    noted = Span("toy_box_l1-tick_20240916_v1.0.0.cdf", midnight, midnight + 2 * 10**9)
    assert spans(lake, NEXT_DAY) == (noted, None)
    rows = read_ops(lake, "exports").to_dicts()
    older = [row | {"first_epoch_tt2000": None, "last_epoch_tt2000": None} for row in rows]
    replace_ops(lake, "exports", older, "true")
    assert spans(lake, NEXT_DAY) == (noted, None)


def test_a_file_is_compared_with_the_days_beside_it(lake: Lake) -> None:
    exported(lake)
    row = last_row(lake)
    beyond = row | {"last_epoch_tt2000": tt2000_of_day(NEXT_DAY), "run_id": "run-999998"}
    append_ops(lake, "exports", [beyond])
    receive(lake, "b", [1, 2], NEXT_DAY)
    build(lake)
    ((_, day, findings),) = exported(lake).refused
    assert day == NEXT_DAY
    assert [f.rule for f in findings if f.severity == "error"] == ["D03"]
    assert "toy_box_l1-tick_20240916_v1.0.0.cdf" in findings[0].what


def test_equal_bytes_are_not_judged_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    exported(lake)
    monkeypatch.setattr("exports.inspection.inspect", lambda *_: pytest.fail("was judged when it was published"))
    done = exported(lake, force=True)
    assert (done.unchanged, done.published, done.refused) == (1, [], [])


def test_a_file_of_a_run_that_ended_before_it_was_published_is_judged(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr("exports.export.publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            exported(lake)
    assert (files(lake), len(Journal(lake).keys("versions"))) == ([], 1)
    with monkeypatch.context() as stricter:  # a release that has a rule more
        stricter.setattr("exports.rules.check.CHECKS", (lambda _: iter([error("V99", "", "is odd", "Mend it")]),))
        done = exported(lake)
    assert (done.published, files(lake)) == ([], [])
    assert [finding.rule for finding in done.refused[0][2] if finding.severity == "error"] == ["V99"]
    assert [key.rpartition("_")[2] for key in exported(lake).published] == ["v1.0.0.cdf"]


def test_a_file_that_spdf_s_checker_refuses_does_not_go_out(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = lake.definitions.tables[L1]
    with pytest.raises(ConfigurationError, match=r"has no spdfjavaClasses\.jar|there is no java"):
        export_all(lake, "run-1", [table], skteditor=tmp_path)
    assert files(lake) == []
    for name in JARS:
        (tmp_path / name).touch()
    java = tmp_path / "java"  # a shell script in the place of Java
    java.write_text('#!/bin/sh\necho "ERROR: Epoch is odd."\n')
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    ((_, _, findings),) = export_all(lake, "run-2", [table], skteditor=tmp_path).refused
    assert "SKT file: SPDF's checker says: ERROR: Epoch is odd" in str(findings[0])
    assert files(lake) == []
    assert len(export_all(lake, "run-3", [table]).published) == 1
