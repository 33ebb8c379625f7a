-- What does the day's spectrum of each histogram slot look like?
-- Grain: one row per UTC day, slot and energy channel of 0.5 keV.
-- Garbage histograms and those without live time are left out. Energy is the centre of the channel.
WITH useless AS (
    SELECT sum(mask)::INTEGER AS mask
    FROM padre.meddea_flags
    WHERE name IN ('garbage_spectrum', 'live_time_zero')
),
axis AS (
    SELECT
        place AS channel,
        value AS energy_kev,
        count(*) OVER () AS channels,
        (max(value) OVER () - min(value) OVER ()) / (count(*) OVER () - 1) AS width_kev
    FROM padre.meddea_axis_energy
),
spectrum AS (
    SELECT
        day,
        live_time_s,
        counts
    FROM padre.meddea_l1_spectrum
    WHERE quality_flag & (SELECT mask FROM useless) = 0
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
),
total AS (
    SELECT
        day,
        place,
        sum(counts::DOUBLE) AS counts_count
    FROM cell
    GROUP BY
        day,
        place
)
SELECT
    total.day,
    total.place // axis.channels AS slot,
    axis.energy_kev,
    total.counts_count,
    exposure.live_time_s,
    total.counts_count / (exposure.live_time_s * axis.width_kev) AS rate_per_s_kev
FROM total
INNER JOIN axis ON total.place % axis.channels = axis.channel
INNER JOIN exposure USING (day)
ORDER BY
    total.day,
    total.place;
