# SPDX-License-Identifier: Apache-2.0
"""What is not delivered although a rule asks for it, and why; approvals and withdrawals."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from exports.delivery.approvals import approve, withdraw
from exports.delivery.run import deliver
from lake.errors import ConfigurationError
from lake.store import Lake
from tests.exports.delivery.stage import (
    BOX,
    CRATE,
    DAYS,
    NOW,
    feed,
    manifests,
    path_of,
    products_at,
    publish,
    run,
    settings,
    stage,
)

PATHS = [path_of(BOX, day) for day in DAYS]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return stage(tmp_path)


def reasons(lake: Lake, tmp_path: Path, **also: object) -> list[str]:
    return [refused.line for refused in run(lake, settings(tmp_path, also=also)).refused]


def test_a_product_of_an_assumed_instrument_goes_to_a_team_that_asks_for_it_alone(lake: Lake, tmp_path: Path) -> None:
    send = [{"missions": ["toy"]}]
    (line,) = [refused.line for refused in run(lake, settings(tmp_path, send=send)).refused]
    assert line == (
        f"{CRATE} -> spdf: 3 days not delivered; rests on an assumption: "
        "Status of the instrument's definition: assumed. Nobody has seen one."
    )
    assert products_at(tmp_path / "spdf") == PATHS
    found = run(lake, settings(tmp_path, ("team",), send=send, visibility="team", assumed=True))
    assert (len(products_at(tmp_path / "team")), found.refused) == (6, [])
    assert len(run(lake, settings(tmp_path, ("other",), send=send, visibility="team")).refused) == 1


def test_what_rested_on_an_assumption_when_it_was_exported_is_refused(lake: Lake, tmp_path: Path) -> None:
    publish(lake, (BOX, DAYS[0], "1.0.1"), run="run-2", deliverable=False)
    (refused,) = run(lake, settings(tmp_path)).refused
    assert refused.reason.endswith("when it was exported; run `swxlake export`")
    assert products_at(tmp_path / "spdf") == PATHS[1:]


@pytest.mark.parametrize("visibility", ["public", "team"])
def test_a_structure_that_nobody_declared_goes_to_nobody(lake: Lake, tmp_path: Path, visibility: str) -> None:
    publish(lake, (BOX, DAYS[0], "2.0.0"), (BOX, DAYS[1], "1.9.12"), run="run-2")  # the definition says 1.0
    (line,) = [refused.line for refused in run(lake, settings(tmp_path, visibility=visibility)).refused]
    assert line == (
        f"{BOX} -> spdf: 1 day not delivered; its structure changed, and the master of version 2 does not exist; "
        "raise `version` of box_l1_tick in missions/toy/box/cdf.yaml from 1.0 to 2.0 and run `make docs`"
    )
    assert products_at(tmp_path / "spdf") == [path_of(BOX, DAYS[1], "1.9.12"), PATHS[2]]


def test_an_embargo_ends_on_its_day(lake: Lake, tmp_path: Path) -> None:
    embargo = {"products": ["toy.*"], "why": "a paper comes first"}
    assert reasons(lake, tmp_path, embargo=[{**embargo, "until": date(2026, 8, 2)}]) == [
        f"{BOX} -> spdf: 3 days not delivered; is embargoed until 2026-08-02: a paper comes first"
    ]
    assert products_at(tmp_path / "spdf") == []
    assert reasons(lake, tmp_path, embargo=[{**embargo, "until": date(2026, 8, 1)}]) == []
    assert products_at(tmp_path / "spdf") == PATHS


def test_an_embargo_of_days_counts_from_the_day_of_the_data(lake: Lake, tmp_path: Path) -> None:
    days = (NOW.date() - DAYS[1]).days - 1  # whole ones since the second day: for that it ended this midnight
    (line,) = reasons(lake, tmp_path, embargo=[{"products": [BOX], "days": days, "why": "calibration"}])
    assert line.endswith(f"1 day not delivered; is embargoed for {days} days after the day of the data: calibration")
    assert products_at(tmp_path / "spdf") == PATHS[:2]


def test_an_embargo_of_one_day_ends_a_whole_day_after_the_data(lake: Lake, tmp_path: Path) -> None:
    wanted = settings(tmp_path, also={"embargo": [{"products": [BOX], "days": 1, "why": "calibration"}]})
    deliver(lake, wanted, datetime(2024, 9, 17, 23, 59, 59, tzinfo=UTC))
    assert products_at(tmp_path / "spdf") == []
    deliver(lake, wanted, datetime(2024, 9, 18, tzinfo=UTC))
    assert products_at(tmp_path / "spdf") == PATHS[:1]


def test_a_team_gets_what_is_embargoed_or_not_approved(lake: Lake, tmp_path: Path) -> None:
    also = {"embargo": [{"products": [BOX], "until": date(2027, 1, 1), "why": "x"}], "approval": [{"products": [BOX]}]}
    assert run(lake, settings(tmp_path, also=also, visibility="team")).refused == []
    assert products_at(tmp_path / "spdf") == PATHS


def test_a_product_waits_for_its_approval(lake: Lake, tmp_path: Path) -> None:
    rule = [{"products": ["toy_box_l1-*"], "why": "first release"}]
    (line,) = reasons(lake, tmp_path, approval=rule)
    assert line == (
        f"{BOX} -> spdf: 3 days not delivered; waits for approval (first release); "
        f"run `swxlake deliver approve {BOX} --by NAME --why REASON`"
    )
    assert approve(lake, BOX, DAYS[1], "Ada", "looks right", NOW) == f"{BOX}@2024-09-17"
    assert "2 days" in reasons(lake, tmp_path, approval=rule)[0]
    assert approve(lake, "toy_box_l1-tick", None, "Ada", "all do", NOW) == BOX
    assert reasons(lake, tmp_path, approval=rule) == []
    assert products_at(tmp_path / "spdf") == PATHS


def test_who_approved_before_is_told(lake: Lake) -> None:
    approve(lake, BOX, None, "Ada", "looks right", NOW)
    with pytest.raises(ConfigurationError, match=r"was approved by Ada at 2026-08-01T02:00:00.*: looks right"):
        approve(lake, BOX, None, "Bob", "me too", NOW)


@pytest.mark.parametrize(("by", "why", "lacks"), [(" ", "x", "who"), ("Ada", "", "why")])
def test_nobody_approves_without_name_and_reason(lake: Lake, by: str, why: str, lacks: str) -> None:
    with pytest.raises(ConfigurationError, match=f"nobody says {lacks}"):
        approve(lake, BOX, None, by, why, NOW)


def test_an_unknown_product_cannot_be_approved(lake: Lake) -> None:
    with pytest.raises(ConfigurationError, match=r"toy.box_l1_tik: is no product; did you mean toy.box_l1_tick\?"):
        approve(lake, "toy.box_l1_tik", None, "Ada", "x", NOW)


def test_a_withdrawn_version_is_told_to_who_has_it_and_never_sent(lake: Lake, tmp_path: Path) -> None:
    run(lake, settings(tmp_path))
    name = Path(PATHS[1]).name
    assert withdraw(lake, name, "Ada", "wrong gain", NOW) == name.removesuffix(".cdf")
    found = run(lake, settings(tmp_path, ("spdf", "late")), 24)
    assert [one.withdrawn for one in found.recipients] == [[PATHS[1]], []]
    assert feed(tmp_path / "spdf")[-1] == ("withdrawn", PATHS[1])
    assert manifests(tmp_path / "spdf")[1]["files"][0]["reason"] == "by Ada: wrong gain"
    assert PATHS[1] in products_at(tmp_path / "spdf")
    assert products_at(tmp_path / "late") == [PATHS[0], PATHS[2]]
    assert [refused.line for refused in found.refused] == [
        f"{BOX} -> late: 1 day not delivered; version 1.0.0 was withdrawn by Ada: wrong gain"
    ]
    again = run(lake, settings(tmp_path), 48).recipients[0]
    assert (again.withdrawn, again.sent, again.refused) == ([], [], [])


def test_a_withdrawn_file_is_removed_where_the_recipient_wants_it(lake: Lake, tmp_path: Path) -> None:
    run(lake, settings(tmp_path))
    withdraw(lake, PATHS[1], "Ada", "wrong gain", NOW)
    run(lake, settings(tmp_path, remove_withdrawn=True), 24)
    assert products_at(tmp_path / "spdf") == [PATHS[0], PATHS[2]]


def test_no_older_version_takes_the_place_of_a_withdrawn_one(lake: Lake, tmp_path: Path) -> None:
    publish(lake, (BOX, DAYS[0], "1.0.1"), run="run-2")
    withdraw(lake, "toy_box_l1-tick_20240916", "Ada", "wrong gain", NOW)  # the newest
    run(lake, settings(tmp_path))
    assert products_at(tmp_path / "spdf") == PATHS[1:]
    publish(lake, (BOX, DAYS[0], "1.0.2"), run="run-3")
    found = run(lake, settings(tmp_path), 24)
    assert (found.recipients[0].sent, found.awaited) == ([path_of(BOX, DAYS[0], "1.0.2")], {})


def test_days_whose_newest_version_was_withdrawn_are_counted_even_if_everybody_had_it(
    lake: Lake, tmp_path: Path
) -> None:
    run(lake, settings(tmp_path))
    for path in PATHS[:2]:
        withdraw(lake, path, "Ada", "wrong gain", NOW)
    planned = run(lake, settings(tmp_path), 24, dry_run=True)
    assert (planned.count("planned"), planned.count("withdrawn"), planned.awaited) == (0, 2, {BOX: 2})
    run(lake, settings(tmp_path), 24)
    again = run(lake, settings(tmp_path), 48, dry_run=True)
    assert (again.count("withdrawn"), again.awaited, again.problems) == (0, {BOX: 2}, [])


def test_what_was_never_given_out_cannot_be_withdrawn(lake: Lake) -> None:
    with pytest.raises(ConfigurationError, match="no version of that name was given out"):
        withdraw(lake, "toy_box_l1-tick_20240916_v9.0.0.cdf", "Ada", "x", NOW)
    withdraw(lake, "toy_box_l1-tick_20240916_v1.0.0", "Ada", "x", NOW)
    with pytest.raises(ConfigurationError, match="was withdrawn by Ada at"):
        withdraw(lake, "toy_box_l1-tick_20240916", "Bob", "y", NOW)
