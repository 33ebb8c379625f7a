-- How many alerts did each instrument have in each month, how bad were they, and how long did they last?
-- Grain: one row per month of the data, mission and instrument. Alerts that were parts of others, or of data that were
-- corrected since, have no episode and do not count.
SELECT
    date_trunc('month', start_time)::DATE AS "month",
    mission,
    instrument,
    count(*) AS alerts,
    count(*) FILTER (WHERE severity = 'red') AS red,
    count(*) FILTER (WHERE state <> 'resolved') AS still_open,
    count(*) FILTER (WHERE acknowledged_by IS NOT NULL) AS acknowledged,
    sum(episodes)::BIGINT AS episodes,
    median(epoch(end_time - start_time) / 3600.0) AS median_length_h
FROM ops.alerts
WHERE episodes > 0
GROUP BY
    "month",
    mission,
    instrument
ORDER BY
    "month",
    mission,
    instrument;
