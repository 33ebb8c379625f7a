-- How long do the stages of a night take, and which takes longer than it used to?
-- Grain: one row per stage of the newest thirty nights.
WITH numbered AS (
    SELECT
        stage,
        number,
        seconds,
        dense_rank() OVER (ORDER BY night_id DESC) AS nights_ago
    FROM ops.nights
)
SELECT
    stage,
    count(*) AS nights,
    arg_min(seconds, nights_ago) AS last_night_s,
    median(seconds) AS median_s,
    max(seconds) AS longest_s,
    arg_min(seconds, nights_ago) / nullif(median(seconds), 0) AS last_to_median
FROM numbered
WHERE nights_ago <= 30
GROUP BY stage
ORDER BY min(number);
