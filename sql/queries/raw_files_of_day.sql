-- Which raw files does each built table-day come from, and are all bytes of those files accounted for?
-- Grain: one row per built table-day, L0 table-day and raw file.
-- A neighbouring day of level 0 is one where a margin reaches into it. A file that came under two names is listed under
-- both.
SELECT
    raw.descendant AS table_name,
    raw.day,
    source.ancestor AS l0_table,
    source.ancestor_day AS l0_day,
    raw.ancestor AS name,
    raw.ancestor_sha256 AS file_sha256,
    files.received_at,
    contents.rows AS rows_count,
    contents.new_rows AS new_rows_count,
    files.duplicates AS duplicate_packets_count,
    files.bytes,
    files.bytes_decoded,
    files.bytes_quarantined,
    files.bytes = files.bytes_decoded + files.bytes_quarantined AS accounted_for
FROM ops.lineage AS raw
INNER JOIN ops.lineage AS source
    ON
        raw.descendant = source.descendant
        AND raw.day = source.day
        AND source.descendant_kind = 'table-day'
        AND source.ancestor_kind = 'table-day'
INNER JOIN ops.contents AS contents
    ON
        source.ancestor = contents.table_name
        AND source.ancestor_day = contents.day
        AND raw.ancestor_sha256 = contents.file_sha256
INNER JOIN ops.files AS files
    ON
        contents.file_sha256 = files.file_sha256
        AND contents.definition = files.definition
        AND raw.ancestor = files.name
WHERE
    raw.descendant_kind = 'table-day'
    AND raw.ancestor_kind = 'raw file'
ORDER BY
    table_name,
    raw.day,
    raw.ancestor,
    l0_table,
    l0_day;
