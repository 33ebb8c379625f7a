-- On how many days of each month did each instrument observe, and how complete were they?
-- Grain: one row per month and instrument with any packets.
SELECT
    date_trunc('month', day)::DATE AS "month",
    mission,
    instrument,
    count(DISTINCT day) AS days_with_data,
    date_diff('day', "month", "month" + INTERVAL 1 MONTH) AS days_of_month,
    sum(received)::BIGINT AS packets,
    sum(missing)::BIGINT AS packets_missing,
    100.0 * sum("distinct") / nullif(sum(expected), 0) AS complete_percent,
    max(longest_gap_s) AS longest_gap_s
FROM ops.packets
GROUP BY
    "month",
    mission,
    instrument
ORDER BY
    "month",
    mission,
    instrument;
