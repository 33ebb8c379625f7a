-- How well does each instrument perform, month by month?
-- Grain: one row per instrument and month in which anything is known of it: packets, metrics or anomalies.
-- Completeness is the share of the packets expected by their sequence counts that is not missing. Latency is that of the slowest of its tables, the
-- median over the days of the time by which 95 % of a day's rows had arrived.
WITH packet AS (
    SELECT
        mission,
        instrument,
        date_trunc('month', day)::DATE AS month,
        sum("distinct") AS packets_count,
        sum(missing) AS packets_missing_count,
        sum(expected) AS packets_expected_count,
        sum(checksum_failures) AS checksum_failures_count,
        sum(restarts) AS restarts_count
    FROM ops.packets
    GROUP BY
        mission,
        instrument,
        month
),
daily AS (
    SELECT
        split_part(table_name, '.', 1) AS mission,
        split_part(split_part(table_name, '.', 2), '_', 1) AS instrument,
        date_trunc('month', day)::DATE AS month,
        table_name,
        median(value) FILTER (WHERE metric = 'latency_p95_s') AS latency_s,
        avg(value) FILTER (WHERE metric = 'flagged_share') AS flagged_share
    FROM ops.latest_metrics
    WHERE metric IN ('latency_p95_s', 'flagged_share')
    GROUP BY
        mission,
        instrument,
        month,
        table_name
),
metric AS (
    SELECT
        mission,
        instrument,
        month,
        max(latency_s) AS latency_p95_s,
        max(flagged_share) AS flagged_share_of_worst_table
    FROM daily
    GROUP BY
        mission,
        instrument,
        month
),
anomaly AS (
    SELECT
        mission,
        instrument,
        date_trunc('month', day)::DATE AS month,
        count(*) FILTER (WHERE severity = 'red') AS red_anomalies_count,
        count(*) FILTER (WHERE severity = 'yellow') AS yellow_anomalies_count
    FROM ops.anomalies
    GROUP BY
        mission,
        instrument,
        month
)
SELECT
    mission,
    instrument,
    month,
    packet.packets_count,
    packet.packets_missing_count,
    100.0 * (1 - packet.packets_missing_count / nullif(packet.packets_expected_count, 0)) AS completeness_percent,
    packet.checksum_failures_count,
    packet.restarts_count,
    metric.latency_p95_s,
    metric.flagged_share_of_worst_table,
    coalesce(anomaly.red_anomalies_count, 0) AS red_anomalies_count,
    coalesce(anomaly.yellow_anomalies_count, 0) AS yellow_anomalies_count
FROM metric
FULL JOIN packet USING (mission, instrument, month)
FULL JOIN anomaly USING (mission, instrument, month)
ORDER BY
    mission,
    instrument,
    month;
