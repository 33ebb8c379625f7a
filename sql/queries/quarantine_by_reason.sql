-- What could not be decoded, why, and how much of what came was it?
-- Grain: one row per mission, instrument and reason.
WITH total AS (
    SELECT
        mission,
        instrument,
        sum(bytes) AS bytes_received
    FROM ops.files
    GROUP BY
        mission,
        instrument
)
SELECT
    q.mission,
    q.instrument,
    q.reason,
    count(*) AS stretches,
    count(DISTINCT q.file_sha256) AS files,
    sum(q.bytes)::BIGINT AS bytes,
    1e6 * sum(q.bytes) / nullif(any_value(total.bytes_received), 0) AS bytes_of_a_million,
    min(q.day) AS first_day,
    max(q.day) AS last_day,
    any_value(q.detail) AS example
FROM ops.quarantine AS q
LEFT JOIN total USING (mission, instrument)
GROUP BY
    q.mission,
    q.instrument,
    q.reason
ORDER BY bytes DESC;
