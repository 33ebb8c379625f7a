-- What came in on each day, and which days of observation was it about?
-- Grain: one row per UTC day of receipt, mission and instrument; files that were refused or are empty count too.
-- The first and last day of the data say whether it was fresh, or an old day that was sent again.
SELECT
    f.received_at::DATE AS received_day,
    f.mission,
    f.instrument,
    count(DISTINCT (f.file_sha256, f.name)) AS files,
    count(DISTINCT (f.file_sha256, f.name)) FILTER (f.status <> 'ingested') AS files_without_data,
    coalesce(sum(c.rows), 0)::BIGINT AS rows_count,
    coalesce(sum(c.new_rows), 0)::BIGINT AS new_rows_count,
    min(c.day) AS first_day,
    max(c.day) AS last_day,
    count(DISTINCT c.day) AS days
FROM ops.files AS f
-- Bytes that came a second time, under another name, brought nothing.
LEFT JOIN ops.contents AS c
    ON
        f.file_sha256 = c.file_sha256
        AND f.definition = c.definition
        AND c.rows > 0
        AND NOT starts_with(f.reason, 'same bytes as ')
GROUP BY ALL
ORDER BY
    received_day,
    f.mission,
    f.instrument;
