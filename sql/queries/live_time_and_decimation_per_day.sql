-- How much of the time did MeDDEA see photons, and how much did it decimate?
-- Grain: one row per UTC day.
WITH spectrum AS (
    SELECT
        day,
        value AS live_share
    FROM ops.latest_metrics
    WHERE
        table_name = 'padre.meddea_l1_spectrum'
        AND metric = 'ratio:live'
),
photon AS (
    SELECT
        day,
        max(value) FILTER (WHERE metric = 'mean') AS mean_decimation_level,
        max(value) FILTER (WHERE metric = 'max') AS highest_decimation_level
    FROM ops.latest_metrics
    WHERE
        table_name = 'padre.meddea_l1_photon'
        AND column_name = 'decimation_level'
    GROUP BY day
)
SELECT
    day,
    spectrum.live_share,
    1 - spectrum.live_share AS dead_share,
    photon.mean_decimation_level,
    photon.highest_decimation_level
FROM spectrum
FULL JOIN photon USING (day)
ORDER BY day;
