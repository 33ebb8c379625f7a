-- How is the electrons' energy flux spread over energy?
-- Grain: one row per UTC hour and energy of EEA.
-- Mean over all sweeps, deflections and azimuths that have a value. The energies are those of the newest calibration.
WITH cell AS (
    SELECT
        date_trunc('hour', time) AS hour,
        unnest(energy_flux) AS energy_flux,
        generate_subscripts(energy_flux, 1) - 1 AS place
    FROM hermes.eea_l2_flux
),
directions AS (
    SELECT (SELECT count(*) FROM hermes.eea_axis_deflection) * (SELECT count(*) FROM hermes.eea_axis_azimuth) AS number
)
SELECT
    cell.hour,
    energy.value AS energy_ev,
    avg(cell.energy_flux) AS energy_flux_ev_per_cm2_s_sr_ev,
    count(cell.energy_flux) AS cells_count
FROM cell
CROSS JOIN directions
INNER JOIN hermes.eea_axis_energy AS energy ON cell.place // directions.number = energy.place
GROUP BY
    cell.hour,
    energy.value
ORDER BY
    cell.hour,
    energy.value;
