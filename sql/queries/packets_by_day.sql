-- How much of what was sent has come, of each packet type and day?
-- Grain: one row per instrument, APID and UTC day.
-- Expected are the packets that came and those that their sequence counts lack, parts of segmented packets counted; a
-- day is complete at 1. Where a counter began anew, more may be missing than is known.
SELECT
    mission,
    instrument,
    apid,
    day,
    expected AS expected_count,
    missing AS missing_count,
    1 - missing / nullif(expected, 0) AS completeness,
    received AS received_count,
    duplicates AS duplicates_count,
    checksum_failures AS checksum_failures_count,
    restarts AS restarts_count,
    bytes / 1e6 AS received_mb,
    date_diff('millisecond', first_time, last_time) / 1e3 AS span_s
FROM ops.packets
ORDER BY
    mission,
    instrument,
    apid,
    day;
