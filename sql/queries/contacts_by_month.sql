-- How many passes did each mission have with each station in each month, and how many were complete, late or lacking?
-- Grain: one row per month, mission and station. Passes that are not due yet do not count.
SELECT
    date_trunc('month', day)::DATE AS "month",
    mission,
    station,
    count(*) AS passes,
    count(*) FILTER (WHERE state = 'complete') AS complete,
    count(*) FILTER (WHERE state = 'late') AS late,
    count(*) FILTER (WHERE state IN ('incomplete', 'missing')) AS lacking,
    sum(packets)::BIGINT AS packets,
    sum(packets_missing)::BIGINT AS packets_missing,
    sum(bytes)::BIGINT AS bytes,
    median(epoch(last_received_at - due_time) / 3600.0) FILTER (WHERE state = 'late') AS median_delay_h
FROM ops.contacts
WHERE state IN ('complete', 'late', 'incomplete', 'missing')
GROUP BY
    "month",
    mission,
    station
ORDER BY
    "month",
    mission,
    station;
