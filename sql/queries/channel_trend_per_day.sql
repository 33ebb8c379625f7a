-- How does each housekeeping channel change over months and years?
-- Grain: one row per watched channel and UTC day.
-- The trend is the median of the daily medians of the 28 days before; the change is told in the day's own spread.
WITH channel AS (
    SELECT
        table_name,
        column_name,
        day,
        max(value) FILTER (WHERE metric = 'min') AS lowest,
        max(value) FILTER (WHERE metric = 'median') AS median,
        max(value) FILTER (WHERE metric = 'max') AS highest,
        max(value) FILTER (WHERE metric = 'sigma') AS sigma
    FROM ops.latest_metrics
    WHERE metric IN ('min', 'median', 'max', 'sigma')
    GROUP BY
        table_name,
        column_name,
        day
    HAVING median IS NOT NULL
),
trend AS (
    SELECT
        table_name,
        column_name,
        day,
        lowest,
        median,
        highest,
        sigma,
        median(median) OVER (
            PARTITION BY
                table_name,
                column_name
            ORDER BY day
            RANGE BETWEEN INTERVAL 28 DAYS PRECEDING AND INTERVAL 1 DAY PRECEDING
        ) AS median_of_28_days
    FROM channel
)
SELECT
    table_name,
    column_name,
    day,
    lowest,
    median,
    highest,
    sigma,
    median_of_28_days,
    (median - median_of_28_days) / nullif(sigma, 0) AS change_in_sigma
FROM trend
ORDER BY
    table_name,
    column_name,
    day;
