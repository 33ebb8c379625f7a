-- How strong is the field of the host at the inboard magnetometer, and does the ambient field follow it?
-- Grain: one row per UTC minute.
-- The host's field is the mean of what the inboard sensor measures above the ambient field. Where it is switched, the
-- ambient field should not step.
WITH field AS (
    SELECT
        date_trunc('minute', ambient.time) AS minute,
        ambient.b_bus_nt AS ambient_nt,
        sensor.pni1_b_bus_nt AS inboard_nt
    FROM hermes.nemisis_l3_ambient AS ambient
    INNER JOIN hermes.nemisis_l2_mag AS sensor USING (epoch_tt2000)
),
mean AS (
    SELECT
        minute,
        count(*) AS samples_count,
        avg(ambient_nt[1]) AS ambient_x,
        avg(ambient_nt[2]) AS ambient_y,
        avg(ambient_nt[3]) AS ambient_z,
        avg(inboard_nt[1] - ambient_nt[1]) AS host_x,
        avg(inboard_nt[2] - ambient_nt[2]) AS host_y,
        avg(inboard_nt[3] - ambient_nt[3]) AS host_z
    FROM field
    GROUP BY minute
)
SELECT
    minute,
    samples_count,
    sqrt(host_x ^ 2 + host_y ^ 2 + host_z ^ 2) AS host_field_nt,
    sqrt(ambient_x ^ 2 + ambient_y ^ 2 + ambient_z ^ 2) AS ambient_field_nt
FROM mean
ORDER BY minute;
