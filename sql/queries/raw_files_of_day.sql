-- Which raw files does each built table-day come from, and are all bytes of those files accounted for?
-- Grain: one row per built table-day, L0 table and raw file.
-- The way back is the one that the last build noted in ops.runs; a file counts with its newest decoding, and a
-- file that came under two names is listed under both.
WITH RECURSIVE dependency AS (
    SELECT
        table_name,
        day,
        unnest(json_keys(depends_on)) AS name
    FROM ops.latest_runs
    WHERE status = 'done'
),
parent AS (
    SELECT
        table_name,
        day,
        substr(name, len('input ') + 1) AS input
    FROM dependency
    WHERE starts_with(name, 'input ')
),
ancestor AS (
    SELECT
        table_name,
        day,
        input
    FROM parent
    UNION
    SELECT
        ancestor.table_name,
        ancestor.day,
        parent.input
    FROM ancestor
    INNER JOIN parent
        ON
            ancestor.input = parent.table_name
            AND ancestor.day = parent.day
),
contribution AS (
    SELECT
        contents.table_name AS l0_table,
        contents.day,
        contents.file_sha256,
        contents.rows AS rows_count,
        contents.new_rows AS new_rows_count,
        files.name,
        files.received_at,
        files.bytes,
        files.bytes_decoded,
        files.bytes_quarantined,
        files.duplicates AS duplicate_packets_count
    FROM ops.contents AS contents
    INNER JOIN ops.files AS files USING (file_sha256, definition)
)
SELECT
    ancestor.table_name,
    ancestor.day,
    contribution.l0_table,
    contribution.name,
    contribution.file_sha256,
    contribution.received_at,
    contribution.rows_count,
    contribution.new_rows_count,
    contribution.duplicate_packets_count,
    contribution.bytes,
    contribution.bytes_decoded,
    contribution.bytes_quarantined,
    contribution.bytes = contribution.bytes_decoded + contribution.bytes_quarantined AS accounted_for
FROM ancestor
INNER JOIN contribution
    ON
        ancestor.input = contribution.l0_table
        AND ancestor.day = contribution.day
ORDER BY
    ancestor.table_name,
    ancestor.day,
    contribution.name;
