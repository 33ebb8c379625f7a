-- Between which values was a channel in each hour, with no spike lost?
-- Grain: one row per UTC hour with a value. For another channel change the column in one place.
WITH sample AS (
    SELECT
        time,
        dib_temp_degc AS value
    FROM padre.meddea_l1_housekeeping
)
SELECT
    date_trunc('hour', time) AS hour,
    min(value) AS lowest,
    avg(value) AS mean,
    max(value) AS highest,
    arg_max(time, abs(value - (SELECT median(value) FROM sample))) AS farthest_from_median_at,
    count(value) AS samples
FROM sample
WHERE value IS NOT NULL
GROUP BY hour
ORDER BY hour;
