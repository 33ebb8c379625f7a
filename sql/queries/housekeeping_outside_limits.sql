-- Which housekeeping channels were outside their red and yellow limits, how often, and how far?
-- Grain: one row per table-day, column and end of its limits of one color. Limits are shown and stop nothing.
WITH outside AS (
    SELECT
        table_name,
        day,
        split_part(rule, ':', 1) AS limit_name,
        split_part(rule, ':', 2) AS column_name,
        value::BIGINT AS rows_outside_count,
        detail
    FROM ops.latest_checks
    WHERE
        regexp_matches(rule, '^(red|yellow)_(low|high):')
        AND NOT passed
),
extreme AS (
    SELECT
        table_name,
        day,
        column_name,
        arg_max(value, run_id) FILTER (WHERE metric = 'min') AS lowest,
        arg_max(value, run_id) FILTER (WHERE metric = 'max') AS highest
    FROM ops.metrics
    WHERE metric IN ('min', 'max')
    GROUP BY
        table_name,
        day,
        column_name
),
documented AS (
    SELECT
        schema_name || '.' || table_name AS table_name,
        column_name,
        comment AS description_and_unit
    FROM duckdb_columns()
)
SELECT
    outside.table_name,
    outside.day,
    outside.column_name,
    split_part(outside.limit_name, '_', 1) AS severity,
    split_part(outside.limit_name, '_', 2) AS limit_end,
    outside.rows_outside_count,
    extreme.lowest,
    extreme.highest,
    documented.description_and_unit,
    outside.detail
FROM outside
LEFT JOIN extreme USING (table_name, day, column_name)
LEFT JOIN documented USING (table_name, column_name)
ORDER BY
    outside.day,
    outside.table_name,
    severity,
    outside.column_name,
    limit_end;
