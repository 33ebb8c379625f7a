-- How much of the time could MeDDEA see photons, and how much was dead or not observed?
-- Grain: one row per UTC hour with at least one spectrum.
-- A spectrum counts in the hour in which it begins, so an hour may hold a few seconds of the next.
WITH spectrum AS (
    SELECT
        date_trunc('hour', time) AS hour,
        integration_time_s,
        live_time_s
    FROM padre.meddea_l1_spectrum
)
SELECT
    hour,
    count(*) AS spectra_count,
    sum(integration_time_s) AS integration_time_s,
    sum(live_time_s) AS live_time_s,
    sum(integration_time_s) - sum(live_time_s) AS dead_time_s,
    100 * sum(live_time_s) / nullif(sum(integration_time_s), 0) AS live_time_percent,
    100 * sum(integration_time_s) / 3600 AS observed_percent
FROM spectrum
GROUP BY hour
ORDER BY hour;
