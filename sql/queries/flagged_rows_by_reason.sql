-- Which rows of HERMES' level 2 are flagged, and why?
-- Grain: one row per table, day and flag that any row has. A row with two flags counts in both.
WITH flagged AS (
    SELECT
        'hermes.eea_l2_moments' AS table_name,
        day,
        quality_flag
    FROM hermes.eea_l2_moments
    UNION ALL
    SELECT
        'hermes.spani_l2_moments' AS table_name,
        day,
        quality_flag
    FROM hermes.spani_l2_moments
    UNION ALL
    SELECT
        'hermes.nemisis_l2_mag' AS table_name,
        day,
        quality_flag
    FROM hermes.nemisis_l2_mag
    UNION ALL
    SELECT
        'hermes.merit_l2_flux' AS table_name,
        day,
        quality_flag
    FROM hermes.merit_l2_flux
),
counted AS (
    SELECT
        table_name,
        split_part(split_part(table_name, '.', 2), '_', 1) AS instrument,
        day,
        quality_flag,
        count(*) AS rows_count,
        sum(count(*)) OVER (PARTITION BY table_name, day) AS rows_of_day
    FROM flagged
    GROUP BY
        table_name,
        day,
        quality_flag
),
flag AS (
    SELECT
        'eea' AS instrument,
        name,
        mask,
        description
    FROM hermes.eea_flags
    UNION ALL
    SELECT
        'spani' AS instrument,
        name,
        mask,
        description
    FROM hermes.spani_flags
    UNION ALL
    SELECT
        'nemisis' AS instrument,
        name,
        mask,
        description
    FROM hermes.nemisis_flags
    UNION ALL
    SELECT
        'merit' AS instrument,
        name,
        mask,
        description
    FROM hermes.merit_flags
)
SELECT
    counted.table_name,
    counted.day,
    flag.name AS flag_name,
    sum(counted.rows_count)::BIGINT AS rows_count,
    100.0 * sum(counted.rows_count) / any_value(counted.rows_of_day) AS rows_percent,
    any_value(flag.description) AS description
FROM counted
INNER JOIN flag ON counted.instrument = flag.instrument AND counted.quality_flag & flag.mask <> 0
GROUP BY
    counted.table_name,
    counted.day,
    flag.name
ORDER BY
    counted.table_name,
    counted.day,
    rows_count DESC;
