-- What is each metric of each table-day now?
-- Grain: one row per table-day, column and metric, of the newest measurement of that table-day only.
CREATE VIEW ops.latest_metrics AS
WITH newest AS (
    SELECT
        table_name,
        day,
        max(run_id) AS run_id
    FROM ops.metrics
    GROUP BY
        table_name,
        day
)
SELECT
    metrics.table_name,
    metrics.day,
    metrics.column_name,
    metrics.metric,
    metrics.value,
    metrics.run_id
FROM ops.metrics AS metrics
INNER JOIN newest USING (table_name, day, run_id);

COMMENT ON VIEW ops.latest_metrics IS 'Newest metrics: one row per table-day, column and metric';
COMMENT ON COLUMN ops.latest_metrics.table_name IS 'Address of the table';
COMMENT ON COLUMN ops.latest_metrics.day IS 'UTC date';
COMMENT ON COLUMN ops.latest_metrics.column_name IS 'Column, or empty for the whole table';
COMMENT ON COLUMN ops.latest_metrics.metric IS 'Name of the metric';
COMMENT ON COLUMN ops.latest_metrics.value IS 'Value; null if it could not be measured on that day';
COMMENT ON COLUMN ops.latest_metrics.run_id IS 'Run that measured';
