-- How strong is the field of the host at the inboard magnetometers, and how much of it is left in the ambient field?
-- Grain: one row per UTC minute.
-- Swings are from the lowest to the highest value of a component, the largest of the three. The host switches within
-- seconds, the ambient field seldom does: the swing of the ambient field should be small beside that of the host's.
WITH field AS (
    SELECT
        date_trunc('minute', ambient.time) AS minute,
        ambient.b_bus_nt AS ambient_nt,
        sensor.pni1_b_bus_nt AS inboard_nt
    FROM hermes.nemisis_l3_ambient AS ambient
    INNER JOIN hermes.nemisis_l2_mag AS sensor USING (epoch_tt2000)
)
SELECT
    minute,
    count(*) AS samples_count,
    greatest(
        max(inboard_nt[1]) - min(inboard_nt[1]),
        max(inboard_nt[2]) - min(inboard_nt[2]),
        max(inboard_nt[3]) - min(inboard_nt[3])
    ) AS inboard_swing_nt,
    greatest(
        max(ambient_nt[1]) - min(ambient_nt[1]),
        max(ambient_nt[2]) - min(ambient_nt[2]),
        max(ambient_nt[3]) - min(ambient_nt[3])
    ) AS ambient_swing_nt
FROM field
GROUP BY minute
ORDER BY minute;
