-- How bright was the Sun in single photons?
-- Grain: one row per UTC minute and detector.
-- Photons are weighted for decimation on board and divided by the live time of the minute's packets. A packet counts in
-- the minute in which it begins, so an event may stand half a second beside its packet's live time.
WITH photon AS (
    SELECT
        date_trunc('minute', time) AS minute,
        asic AS detector,
        count(*) AS photons_count,
        sum(decimation_weight) AS photons_weighted_count
    FROM padre.meddea_l1_photon
    GROUP BY
        minute,
        detector
),
exposure AS (
    SELECT
        date_trunc('minute', time) AS minute,
        sum(live_time) * 12.8e-6 AS live_time_s  -- ticks of 12.8 us, packets/photon.csv
    FROM padre.meddea_l0_photon_packet
    WHERE quality_flag & (
        SELECT sum(mask)::INTEGER
        FROM padre.meddea_flags
        WHERE name IN ('clock_invalid', 'retransmitted')
    ) = 0
    GROUP BY minute
)
SELECT
    photon.minute,
    photon.detector,
    photon.photons_count,
    photon.photons_weighted_count,
    exposure.live_time_s,
    photon.photons_weighted_count / nullif(exposure.live_time_s, 0) AS photon_rate_per_s
FROM photon
LEFT JOIN exposure USING (minute)
ORDER BY
    photon.minute,
    photon.detector;
