-- Which housekeeping channels were outside their alarm limits, how often, and how far?
-- Grain: one row per table-day and broken alarm limit. Alarms are shown and stop nothing.
WITH alarm AS (
    SELECT
        table_name,
        day,
        split_part(rule, ':', 1) AS alarm,
        split_part(rule, ':', 2) AS column_name,
        value::BIGINT AS values_outside_count,
        detail
    FROM ops.latest_checks
    WHERE
        severity = 'info'
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
    alarm.table_name,
    alarm.day,
    alarm.column_name,
    alarm.alarm,
    alarm.values_outside_count,
    extreme.lowest,
    extreme.highest,
    documented.description_and_unit,
    alarm.detail
FROM alarm
LEFT JOIN extreme USING (table_name, day, column_name)
LEFT JOIN documented USING (table_name, column_name)
ORDER BY
    alarm.day,
    alarm.table_name,
    alarm.column_name,
    alarm.alarm;
