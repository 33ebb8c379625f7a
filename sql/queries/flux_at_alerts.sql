-- What did energetic protons, plasma and field look like when an alert began?
-- Grain: one row per alert of HERMES whose start is known.
-- The nearest earlier record of each instrument; one that is a minute old or older counts as none, and its values are
-- null. Protons are those of the sunward head, in the channel with 10 MeV in it by the newest calibration: change both in
-- `channel`.
WITH channel AS (
    SELECT
        head.place * (SELECT count(*) FROM hermes.merit_axis_proton_energy) + energy.place + 1 AS place,
        energy.value AS energy_mev
    FROM hermes.merit_axis_head AS head
    CROSS JOIN hermes.merit_axis_proton_energy AS energy
    WHERE head.label = 'sunward' AND 10 >= energy.value - energy.minus AND 10 < energy.value + energy.plus
),
flux AS (
    SELECT
        f.time,
        channel.energy_mev,
        f.proton_flux[channel.place] AS proton_flux_per_cm2_s_sr_mev
    FROM hermes.merit_l2_flux AS f
    CROSS JOIN channel
),
field AS (
    SELECT
        time,
        sqrt(b_bus_nt[1] ^ 2 + b_bus_nt[2] ^ 2 + b_bus_nt[3] ^ 2) AS ambient_field_nt
    FROM hermes.nemisis_l3_ambient
),
alert AS (
    SELECT
        alert_id,
        subject,
        severity,
        start_time
    FROM ops.alerts
    WHERE mission = 'hermes' AND start_time IS NOT NULL
),
nearest AS (
    SELECT
        alert.alert_id,
        alert.subject,
        alert.severity,
        alert.start_time,
        flux.energy_mev,
        flux.proton_flux_per_cm2_s_sr_mev,
        moments.h_density_cm3,
        moments.h_speed_km_s,
        field.ambient_field_nt,
        alert.start_time - flux.time < INTERVAL 1 MINUTE AS is_flux_near,
        alert.start_time - moments.time < INTERVAL 1 MINUTE AS is_plasma_near,
        alert.start_time - field.time < INTERVAL 1 MINUTE AS is_field_near
    FROM alert
    ASOF LEFT JOIN flux ON alert.start_time >= flux.time
    ASOF LEFT JOIN hermes.spani_l2_moments AS moments ON alert.start_time >= moments.time
    ASOF LEFT JOIN field ON alert.start_time >= field.time
)
SELECT
    alert_id,
    subject,
    severity,
    start_time,
    CASE WHEN is_flux_near THEN energy_mev END AS proton_energy_mev,
    CASE WHEN is_flux_near THEN proton_flux_per_cm2_s_sr_mev END AS proton_flux_per_cm2_s_sr_mev,
    CASE WHEN is_plasma_near THEN h_density_cm3 END AS proton_density_cm3,
    CASE WHEN is_plasma_near THEN h_speed_km_s END AS proton_speed_km_s,
    CASE WHEN is_field_near THEN ambient_field_nt END AS ambient_field_nt
FROM nearest
ORDER BY
    start_time,
    alert_id;
