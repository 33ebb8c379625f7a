-- When did the Sun flare: minutes in which soft X-rays stand far above those of their day?
-- Grain: one row per stretch of such minutes, with gaps of less than five minutes closed.
-- Far is five times the median of the day in which it is, which the quiet Sun of an orbit's day and night never reaches.
WITH minute AS (
    SELECT
        day,
        date_trunc('minute', time) AS minute,
        avg(rate_5_10_kev) AS soft_per_s,
        avg(rate_15_25_kev + rate_25_50_kev) AS hard_per_s
    FROM padre.meddea_ql_lightcurve
    GROUP BY
        day,
        minute
),
bright AS (
    SELECT
        minute,
        soft_per_s,
        hard_per_s,
        median(soft_per_s) OVER (PARTITION BY day) AS usual_per_s
    FROM minute
    QUALIFY soft_per_s > 5 * usual_per_s
),
step AS (
    SELECT
        minute,
        soft_per_s,
        hard_per_s,
        usual_per_s,
        coalesce(minute - lag(minute) OVER (ORDER BY minute) > INTERVAL 5 MINUTES, true) AS begins
    FROM bright
),
stretch AS (
    SELECT
        minute,
        soft_per_s,
        hard_per_s,
        usual_per_s,
        sum(begins::INTEGER) OVER (ORDER BY minute) AS number
    FROM step
)
SELECT
    min(minute) AS start_minute,
    arg_max(minute, soft_per_s) AS peak_minute,
    arg_max(minute, hard_per_s) AS hard_peak_minute,
    count(*) AS minutes,
    max(soft_per_s) AS peak_soft_per_s,
    max(hard_per_s) AS peak_hard_per_s,
    max(soft_per_s / usual_per_s) AS times_usual
FROM stretch
GROUP BY number
ORDER BY start_minute;
