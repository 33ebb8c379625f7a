-- How strong was the ambient magnetic field, and where did it point?
-- Grain: one row per UTC minute with samples. Angles in GSE: azimuth from the Sun, elevation from the ecliptic.
WITH vector AS (
    SELECT
        date_trunc('minute', time) AS minute,
        avg(b_gse_nt[1]) AS bx_gse_nt,
        avg(b_gse_nt[2]) AS by_gse_nt,
        avg(b_gse_nt[3]) AS bz_gse_nt,
        avg(sqrt(b_gse_nt[1] ^ 2 + b_gse_nt[2] ^ 2 + b_gse_nt[3] ^ 2)) AS magnitude_nt,
        count(b_gse_nt[1]) AS samples_count
    FROM hermes.nemisis_l3_ambient
    GROUP BY minute
)
SELECT
    minute,
    magnitude_nt,
    bx_gse_nt,
    by_gse_nt,
    bz_gse_nt,
    degrees(atan2(by_gse_nt, bx_gse_nt)) AS azimuth_deg,
    degrees(atan2(bz_gse_nt, sqrt(bx_gse_nt ^ 2 + by_gse_nt ^ 2))) AS elevation_deg,
    samples_count
FROM vector
WHERE samples_count > 0
ORDER BY minute;
