-- Which raw files arrived late, how late, and how much did they add?
-- Grain: one row per raw file that came later than its mission allows after the end of its day.
-- What a mission allows is late_after_hours of its definition. The day of a file is the one that most of its rows are of;
-- of a file without rows that of its name. The status site takes the name's for all files.
WITH content AS (
    SELECT
        file_sha256,
        definition,
        day,
        sum(rows)::BIGINT AS rows_count,
        sum(new_rows)::BIGINT AS new_rows_count
    FROM ops.contents
    GROUP BY ALL
),
refused AS (
    SELECT
        file_sha256,
        name,
        max(day) AS day
    FROM ops.quarantine
    GROUP BY ALL
),
file AS (
    SELECT
        f.name,
        f.mission,
        f.instrument,
        f.status,
        f.received_at,
        coalesce(first(c.day ORDER BY c.rows_count DESC, c.day), any_value(r.day)) AS day,
        f.bytes,
        coalesce(sum(c.rows_count), 0)::BIGINT AS rows_count,
        coalesce(sum(c.new_rows_count), 0)::BIGINT AS new_rows_count
    FROM ops.files AS f
    LEFT JOIN content AS c USING (file_sha256, definition)
    LEFT JOIN refused AS r USING (file_sha256, name)
    GROUP BY ALL
)
SELECT
    file.name,
    file.mission,
    file.instrument,
    file.status,
    file.day,
    file.received_at,
    epoch(file.received_at - (file.day + 1)::TIMESTAMPTZ) / 3600 AS late_h,
    file.bytes,
    file.rows_count,
    file.new_rows_count
FROM file
INNER JOIN ops.missions AS m USING (mission)
WHERE late_h > m.late_after_hours
ORDER BY
    late_h DESC,
    file.name;
