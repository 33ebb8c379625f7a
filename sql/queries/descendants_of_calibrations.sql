-- What rests on each calibration: on how many days of which tables, and on how many products, from when to when?
-- Grain: one row per calibration, hash of its file, and table; null in place of a table for products.
SELECT
    regexp_replace(ancestor, '_\d{8}$', '') AS calibration,
    ancestor_sha256 AS calibration_sha256,
    if(descendant_kind = 'table-day', descendant, NULL) AS table_name,
    count(*) AS descendants_count,
    min(day) AS first_day,
    max(day) AS last_day
FROM ops.lineage
WHERE ancestor_kind = 'calibration'
GROUP BY
    calibration,
    calibration_sha256,
    table_name
ORDER BY
    calibration,
    calibration_sha256,
    table_name;
