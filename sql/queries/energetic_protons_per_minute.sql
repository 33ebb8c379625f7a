-- When did energetic protons arrive, and at which energies first?
-- Grain: one row per UTC minute and proton channel of MERiT.
-- Mean over both heads. The energies are those of the newest calibration.
WITH cell AS (
    SELECT
        date_trunc('minute', time) AS minute,
        unnest(proton_flux) AS flux,
        generate_subscripts(proton_flux, 1) - 1 AS place
    FROM hermes.merit_l2_flux
),
channel AS (
    SELECT
        place,
        value,
        count(*) OVER () AS channels
    FROM hermes.merit_axis_proton_energy
)
SELECT
    cell.minute,
    channel.value AS energy_mev,
    avg(cell.flux) AS proton_flux_per_cm2_s_sr_mev,
    count(cell.flux) AS values_count
FROM cell
INNER JOIN channel ON cell.place % channel.channels = channel.place
GROUP BY
    cell.minute,
    channel.value
ORDER BY
    cell.minute,
    channel.value;
