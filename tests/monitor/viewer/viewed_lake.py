# SPDX-License-Identifier: Apache-2.0
"""Three days of a box with one spike, one gap, limits, an alert and an anomaly; the viewer's site, and its server.

A row each 10 s, 0.123457 s after the full second. The temperature swings about 20; one row has SPIKE.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import numpy as np

from lake.answers import Answers, Limits
from lake.catalog import refresh
from lake.definition_files import read_definitions
from lake.health import Health
from lake.serving import Listen
from lake.store import Lake
from lake.tables import append_ops
from lake.web import serving
from monitor.envelopes.making import make_envelopes
from monitor.site import assets
from monitor.site.facts import Facts
from monitor.site.writing import Writer
from monitor.viewer import pages
from monitor.viewer.asking import Desk
from monitor.viewer.serving import application
from tests.monitor.envelopes.box import ADDRESS, DAY, HOUR, MIDNIGHT, US, box_lake, every, write

NOW = datetime(2024, 9, 19, 3, tzinfo=UTC)
DAYS = (DAY, date(2024, 9, 17), date(2024, 9, 18))
STEP, ROWS = 10, 8640
OFFSET = 123_457  # microseconds after the full second
SPIKE = 61.25
SPIKE_AT = MIDNIGHT + 38 * HOUR + 23 * 60 * US + 40 * US + OFFSET  # 2024-09-17 14:23:40.123457
GAP = (MIDNIGHT + 28 * HOUR, MIDNIGHT + 30 * HOUR + 30 * 60 * US)  # 2024-09-17 from 04:00 to 06:30
LAST = MIDNIGHT + 3 * 24 * HOUR - STEP * US + OFFSET
HOSTILE = "</script><script>window.broken = true</script><b>61 degC</b>"
ALERT, CHECKS_ALERT = "feedc0ffee01", "feedc0ffee02"
AGAIN = (SPIKE_AT + 8 * HOUR, SPIKE_AT + 8 * HOUR + 60 * US)  # of the alert, healthy before
CHECKS_AT = MIDNIGHT + 60 * HOUR
WATCHED = "    cadence_seconds: 10\n    watch: {}\n"
LIMITS = """\
    table,column,severity,low,high,when,samples,seconds,source
    box_l1_field,temp_degc,yellow,,40,,,,test
    box_l1_field,temp_degc,red,-20,60,,,,test
    """


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def make(folder: Path) -> Lake:
    """The lake with its catalog, envelopes and the viewer's part of the site."""
    (folder / "lake").mkdir()
    box_lake(folder)
    tables = folder / "missions/toy/box/tables.yaml"
    told = tables.read_text().replace("    order: strict\n", f"    order: strict\n{WATCHED}")
    tables.write_text(told.replace("type: int64, unit: s,", "type: int64, unit: s, scale: log,"))
    (folder / "missions/toy/box/limits.csv").write_text("\n".join(line.strip() for line in LIMITS.splitlines()))
    made = Lake(folder / "lake", read_definitions(folder / "missions"))
    for day in DAYS:
        _fill(made, day)
    _note(made)
    refresh(made)
    make_envelopes(made)
    build(made)
    return made


def build(made: Lake) -> Writer:
    """Write the viewer's part of the site."""
    facts = Facts(made, NOW)
    writer = Writer(made)
    writer.add(assets.parts(facts))
    writer.add(pages.parts(facts))
    writer.add(assets.built(facts))
    writer.finish()
    return writer


def _fill(made: Lake, day: date) -> None:
    time = every(STEP, ROWS, MIDNIGHT + (day - DAY).days * 24 * HOUR) + OFFSET
    time = time[(time < GAP[0]) | (time >= GAP[1])]
    temperature = 20 + np.sin((time - MIDNIGHT) / (90 * 60 * US) * 2 * np.pi)
    temperature[time == SPIKE_AT] = SPIKE
    values: list[float | None] = temperature.tolist()
    values[7] = None
    fields = [[0.1 * (i % 7), 20.1, -3.0] for i in range(len(time))]
    flags = [1 if at == SPIKE_AT else 0 for at in time.tolist()]
    write(made, time, values, day, fields, quality_flag=flags, uptime=[2**53 + 1 + i for i in range(len(time))])


def _note(made: Lake) -> None:
    about = {"mission": "toy", "instrument": "box", "table_name": ADDRESS, "run_id": "1"}
    times = {"start_time": moment(SPIKE_AT), "end_time": moment(AGAIN[1])}
    words = {"severity": "red", "value": SPIKE, "baseline": 60.0, "plot": "SELECT 1"}
    alert = {"alert_id": ALERT, "subject": f"{ADDRESS} temp_degc", "column_name": "temp_degc", "rules": "red_high"}
    opened = {"since_time": moment(SPIKE_AT), "episodes": 2, "opened_at": NOW, "changed_at": NOW}
    state = {"state": "resolved", "message": HOSTILE, "acknowledged_by": None, "note": None}
    resolved = about | times | words | alert | opened | state
    checks = {"alert_id": CHECKS_ALERT, "subject": f"{ADDRESS} checks", "column_name": "", "rules": "checks"}
    late = {"start_time": moment(CHECKS_AT), "end_time": moment(CHECKS_AT + 6 * HOUR), "message": "a check failed"}
    append_ops(made, "alerts", [resolved, resolved | checks | late])
    gap = {"start_time": moment(GAP[0]), "end_time": moment(GAP[1]), "rule": "gap", "severity": "yellow"}
    row = {"day": DAYS[1], "column_name": "", "ended": True, "score": 1.0, "samples": 0, "detail": "no rows for 2.5 h"}
    high = row | {"column_name": "temp_degc", "rule": "red_high", "severity": "red", "detail": "above 60"}
    episodes = [(SPIKE_AT, SPIKE_AT), AGAIN]
    found = [high | {"start_time": moment(first), "end_time": moment(last)} for first, last in episodes]
    append_ops(made, "anomalies", [about | words | gap | row, *(about | words | stretch for stretch in found)])


def moment(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


@contextmanager
def served(made: Lake, answers: Answers | None = None, desk: Desk | None = None, **limits: Any) -> Iterator[str]:
    """The viewer's server; its address."""
    app = application(made, answers or Answers(made, Limits(**limits)), Health("monitor"), desk=desk)
    with serving(app, Listen(host="127.0.0.1", port=0)) as address:
        yield address


def ask(address: str, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
    """An answer to a request, whose path is sent as it is."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    try:
        connection.putrequest(method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def series(address: str, start: int | str, stop: int | str, channel: str = "temp_degc", points: int = 1000) -> Answer:
    query = {"table": ADDRESS, "channel": channel, "start": start, "stop": stop, "points": points}
    return ask(address, f"/api/series?{urlencode(query)}")


def rows(address: str, start: int | str, stop: int | str, columns: str = "temp_degc", limit: int = 1000) -> Answer:
    query = {"table": ADDRESS, "columns": columns, "start": start, "stop": stop, "limit": limit}
    return ask(address, f"/api/rows?{urlencode(query)}")
