-- What changed from one version of a product to the next: its data, its code, its calibrations or its raw files?
-- Grain: one row per product-day and version that has a version before it.
WITH version AS (
    SELECT
        product,
        day,
        version,
        created_at,
        records,
        bytes,
        code_version,
        made_from -> 'algorithm' AS algorithm,
        made_from -> 'definitions' AS definitions,
        made_from -> 'calibrations' AS calibrations,
        json_array_length(made_from -> 'raw') AS raw_files
    FROM ops.exports
    WHERE status = 'published'
),
pair AS (
    SELECT
        product,
        day,
        version,
        created_at,
        records,
        bytes,
        code_version,
        algorithm,
        definitions,
        calibrations,
        raw_files,
        lag(version) OVER product_day AS version_before,
        lag(records) OVER product_day AS records_before,
        lag(bytes) OVER product_day AS bytes_before,
        lag(algorithm) OVER product_day AS algorithm_before,
        lag(definitions) OVER product_day AS definitions_before,
        lag(calibrations) OVER product_day AS calibrations_before,
        lag(raw_files) OVER product_day AS raw_files_before
    FROM version
    WINDOW product_day AS (PARTITION BY product, day ORDER BY string_split(version, '.')::INTEGER[])
)
SELECT
    product,
    day,
    version_before,
    version,
    created_at,
    records - records_before AS more_records,
    bytes - bytes_before AS more_bytes,
    raw_files - raw_files_before AS more_raw_files,
    algorithm IS DISTINCT FROM algorithm_before AS other_algorithm,
    calibrations IS DISTINCT FROM calibrations_before AS other_calibrations,
    definitions IS DISTINCT FROM definitions_before AS other_definitions,
    code_version
FROM pair
WHERE version_before IS NOT NULL
ORDER BY
    created_at DESC,
    product,
    day;
