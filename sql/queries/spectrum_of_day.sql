-- What does the day's spectrum of each histogram slot look like?
-- Grain: one row per UTC day, slot and energy channel of 0.5 keV.
-- Garbage histograms and those without live time are left out. Energy is the centre of the channel: the axis `energy` of
-- tables.yaml has 280 channels from -9.75 keV on.
WITH spectrum AS (
    SELECT
        day,
        live_time_s,
        counts
    FROM padre.meddea_l1_spectrum
    WHERE quality_flag & 69632 = 0  -- bit 12, garbage_spectrum; bit 16, live_time_zero
),
exposure AS (
    SELECT
        day,
        sum(live_time_s) AS live_time_s
    FROM spectrum
    GROUP BY day
),
cell AS (
    SELECT
        day,
        unnest(counts) AS counts,
        generate_subscripts(counts, 1) - 1 AS place
    FROM spectrum
)
SELECT
    cell.day,
    cell.place // 280 AS slot,
    -9.75 + 0.5 * (cell.place % 280) AS energy_kev,
    sum(cell.counts::DOUBLE) AS counts_count,
    exposure.live_time_s,
    sum(cell.counts::DOUBLE) / (exposure.live_time_s * 0.5) AS rate_per_s_kev
FROM cell
INNER JOIN exposure USING (day)
GROUP BY
    cell.day,
    cell.place,
    exposure.live_time_s
ORDER BY
    cell.day,
    cell.place;
