-- What was the plasma around HERMES like, by three instruments that should agree?
-- Grain: one row per UTC minute in which one of the instruments has a value.
-- Medians, so that a single bad record does not show. Density of electrons and of ions should be about equal.
WITH ion AS (
    SELECT
        date_trunc('minute', time) AS minute,
        median(h_density_cm3) AS proton_density_cm3,
        median(h_speed_km_s) AS proton_speed_km_s,
        median(h_temperature_ev) AS proton_temperature_ev,
        median(he_density_cm3) AS alpha_density_cm3
    FROM hermes.spani_l2_moments
    GROUP BY minute
),
electron AS (
    SELECT
        date_trunc('minute', time) AS minute,
        median(density_cm3) AS electron_density_cm3,
        median(temperature_ev) AS electron_temperature_ev
    FROM hermes.eea_l2_moments
    GROUP BY minute
),
field AS (
    SELECT
        date_trunc('minute', time) AS minute,
        avg(sqrt(b_bus_nt[1] ^ 2 + b_bus_nt[2] ^ 2 + b_bus_nt[3] ^ 2)) AS ambient_field_nt
    FROM hermes.nemisis_l3_ambient
    GROUP BY minute
)
SELECT
    minute,
    proton_density_cm3,
    alpha_density_cm3,
    electron_density_cm3,
    proton_speed_km_s,
    proton_temperature_ev,
    electron_temperature_ev,
    ambient_field_nt
FROM ion
FULL JOIN electron USING (minute)
FULL JOIN field USING (minute)
ORDER BY minute;
