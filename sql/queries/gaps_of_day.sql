-- When were packets lost, which ones, and how much of the day is that?
-- Grain: one row per gap of an instrument and APID, on the UTC day on which it ends; the longest of a day first.
-- The gap lies between the two times, at which packets came. Where a counter began anew, sequence counts are null.
SELECT
    gaps.day,
    gaps.mission,
    gaps.instrument,
    gaps.apid,
    gaps.kind,
    gaps.start_time,
    gaps.end_time,
    date_diff('microsecond', gaps.start_time, gaps.end_time) / 1e6 AS length_s,
    gaps.missing AS missing_count,
    gaps.sequence_from,
    gaps.sequence_to,
    gaps.missing / nullif(packets.expected, 0) AS share_of_expected
FROM ops.gaps AS gaps
LEFT JOIN ops.packets AS packets USING (mission, instrument, apid, day)
ORDER BY
    gaps.day,
    gaps.mission,
    gaps.instrument,
    length_s DESC NULLS LAST,
    gaps.apid,
    gaps.sequence_from;
