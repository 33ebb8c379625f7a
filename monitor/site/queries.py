# SPDX-License-Identifier: Apache-2.0
"""The SELECTs that give the rows behind the site's numbers, on the catalog of the same lake.

They hold what the definitions name, dates and hashes; what came from outside is quoted.
"""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import dedent

from monitor.site.arrivals import sources
from monitor.site.facts import Facts
from monitor.site.figures import product_tables

NO_ROWS = "false"  # of a lake without data

# The parts of long queries that are the same for all lakes.
LATENCIES = """\
receipt AS (
    SELECT source.table_name, contents.day, max(files.received_at) AS received_at
    FROM source
    INNER JOIN ops.contents AS contents ON contents.table_name = source.l0
    INNER JOIN ops.files AS files USING (file_sha256)
    INNER JOIN build ON build.table_name = source.table_name AND build.day = contents.day
    WHERE contents.rows > 0 AND files.received_at <= build.built_at
    GROUP BY ALL
),
metric AS (
    SELECT table_name, day,
        max(value) FILTER (metric = 'latency_p50_s') AS p50_s,
        max(value) FILTER (metric = 'latency_p95_s') AS p95_s
    FROM ops.latest_metrics
    GROUP BY ALL
)
SELECT table_name, day,
    metric.p50_s AS latency_p50_s, metric.p95_s AS latency_p95_s,
    epoch(built_at - received_at) AS build_s,
    metric.p50_s + epoch(built_at - received_at) AS p50_s,
    metric.p95_s + epoch(built_at - received_at) AS p95_s
FROM metric
INNER JOIN build USING (table_name, day)
INNER JOIN receipt USING (table_name, day)
WHERE metric.p50_s IS NOT NULL AND metric.p95_s IS NOT NULL
ORDER BY day DESC, table_name"""
PRODUCT_DAYS = """\
WITH failure AS (
    SELECT table_name, day FROM ops.latest_runs WHERE status = 'failed'
),
wrote AS (
    SELECT table_name, day, content
    FROM ops.runs
    INNER JOIN ops.table_days USING (table_name, day, files)
    WHERE status = 'done' AND content <> ''
    QUALIFY row_number() OVER (PARTITION BY table_name, day ORDER BY run_id DESC, started_at DESC) = 1
),
made AS (
    SELECT table_name, day FROM wrote
    UNION
    FROM failure
),
broken AS (
    SELECT table_name, day, count(*) AS rules
    FROM ops.latest_checks
    WHERE NOT passed AND severity = 'fail'
    GROUP BY ALL
),
built AS (
    SELECT table_name, day, content,
        started_at + to_microseconds(CAST(trunc(seconds * 1e6) AS BIGINT)) AS built_at
    FROM ops.runs
    WHERE status = 'done'
),
exported AS (
    SELECT table_name, built.day, product.version, built.content
    FROM ops.latest_products AS product
    INNER JOIN built ON built.table_name = product.product AND built.day = product.day
    WHERE built.built_at <= product.created_at
    QUALIFY row_number() OVER (PARTITION BY table_name, built.day ORDER BY built.built_at DESC) = 1
)
SELECT made.table_name AS product, made.day,
    exported.version,
    coalesce(exported.content = wrote.content, false) AS has_its_rows,
    coalesce(broken.rules, 0) AS broken_rules,
    failure.day IS NOT NULL AS failed,
    has_its_rows AND broken_rules = 0 AND NOT failed AS passed
FROM made
LEFT JOIN wrote USING (table_name, day)
LEFT JOIN failure USING (table_name, day)
LEFT JOIN broken USING (table_name, day)
LEFT JOIN exported USING (table_name, day)"""


def in_window(facts: Facts) -> str:
    """The condition that a row's day is in the window."""
    if facts.window is None:
        return NO_ROWS
    first, after = facts.window
    return f"day >= DATE '{first}' AND day < DATE '{after}'"


def packets(facts: Facts) -> str:
    """Packets of the window by APID."""
    return _sql(
        f"""
        SELECT mission, instrument, apid,
            sum(packets.distinct) AS received, sum(expected) AS expected, sum(missing) AS missing, sum(gaps) AS gaps,
            coalesce(date_diff('day', min(day) FILTER (received > 0), max(day) FILTER (received > 0)) + 1
                - count(DISTINCT day) FILTER (received > 0), 0) AS silent_days
        FROM ops.packets
        WHERE {in_window(facts)}
        GROUP BY ALL
        ORDER BY ALL
        """  # noqa: S608  addresses and dates
    )


def gaps(facts: Facts) -> str:
    """Gaps of the window in which packets are missing, the newest first."""
    return _sql(
        f"""
        SELECT mission, instrument, apid, day, kind, start_time, end_time, missing
        FROM ops.gaps
        WHERE missing > 0 AND {in_window(facts)}
        ORDER BY day DESC, end_time DESC, mission, instrument, apid
        """  # noqa: S608  addresses and dates
    )


def latencies(facts: Facts) -> str:
    """Latency of each level 1 table-day of the window."""
    pairs = ", ".join(f"({quoted(table)}, {quoted(l0)})" for table, l0 in sources(facts)) or "('', '')"
    build = _sql(
        f"""
        WITH source(table_name, l0) AS (VALUES {pairs}),
        build AS (
            SELECT table_name, day, min(started_at + to_microseconds(CAST(trunc(seconds * 1e6) AS BIGINT))) AS built_at
            FROM ops.runs
            WHERE status = 'done' AND {in_window(facts)}
            GROUP BY ALL
        ),
        """  # noqa: S608  addresses and dates
    )
    return f"{build}\n{LATENCIES}"


def quarantine(facts: Facts) -> str:
    """What was not decoded, of files of the window and later; where a name tells no day, by that of the run."""
    day = "coalesce(strftime(day, '%Y%m%d'), run_id[:8])"
    about = f"WHERE {day} >= '{facts.window[0]:%Y%m%d}'" if facts.window else ""
    return _sql(
        f"""
        SELECT day, name, byte_offset, bytes, packets, reason, detail, mission, instrument, apid, file_sha256
        FROM ops.quarantine
        {about}
        ORDER BY run_id DESC, name, byte_offset
        """  # noqa: S608  addresses and dates
    )


def late_files(receipts: Iterable[str]) -> str:
    """Raw files by their receipts: the day in a name is told by the archive, not by the books."""
    chosen = ",\n    ".join(quoted(receipt) for receipt in receipts)
    about = f"receipt IN (\n    {chosen}\n)" if chosen else NO_ROWS
    columns = "name, mission, instrument, received_at, bytes, status"
    return f"SELECT {columns}\nFROM ops.files\nWHERE {about}\nORDER BY received_at DESC, name"


def contacts() -> str:
    """Passes that were not complete when they were due."""
    return _sql(
        """
        SELECT mission, pass_id, station, start_time, due_time, state, files, files_expected, detail
        FROM ops.contacts
        WHERE state IN ('late', 'incomplete', 'missing')
        ORDER BY start_time DESC, mission, pass_id
        """
    )


def broken() -> str:
    """Rules that do not hold now."""
    return _sql(
        """
        SELECT table_name, day, severity, rule, value, detail, checked_at
        FROM ops.latest_checks
        WHERE NOT passed
        ORDER BY day DESC, table_name, rule
        """
    )


def failed_runs() -> str:
    """Table-days whose last run failed."""
    return _sql(
        """
        SELECT table_name, day, run_id, started_at, error
        FROM ops.latest_runs
        WHERE status = 'failed'
        ORDER BY day DESC, table_name
        """
    )


def product_days(facts: Facts) -> str:
    """Product-days of the window that have rows or failed, and whether they passed."""
    tables = ", ".join(quoted(address) for address in sorted(product_tables(facts))) or "''"
    window = in_window(facts).replace("day ", "made.day ")
    return f"{PRODUCT_DAYS}\nWHERE made.table_name IN ({tables}) AND {window}\nORDER BY ALL"


def nights(number: int) -> str:
    """Stages of the last nights."""
    return _sql(
        f"""
        SELECT night_id, number, stage, started_at, seconds, state, facts, notes, problems
        FROM ops.nights
        WHERE night_id IN (SELECT DISTINCT night_id FROM ops.nights ORDER BY night_id DESC LIMIT {int(number)})
        ORDER BY night_id DESC, number
        """  # noqa: S608  addresses and dates
    )


def quoted(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _sql(text: str) -> str:
    return dedent(text).strip()
