-- How many packets did each client get on each day, how far has it come, and what went wrong?
-- Grain: one row per client and UTC day of the end of its connections or pushes.
SELECT
    client,
    ended_at::DATE AS day,
    count(*) AS connections,
    sum(packets)::BIGINT AS packets,
    sum(bytes)::BIGINT AS bytes,
    max_by(to_cursor, ended_at) AS newest_cursor,
    count(*) FILTER (WHERE state IN ('failed', 'given_up')) AS failures,
    max_by(detail, ended_at) FILTER (WHERE state IN ('failed', 'given_up')) AS last_failure
FROM ops.forwards
GROUP BY
    client,
    day
ORDER BY
    client,
    day;
