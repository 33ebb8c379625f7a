-- Which products were made or made again in the last seven days, and which of them had a version before?
-- Grain: one row per product-day and version that was made within seven days before the newest one.
-- Put a time of your own into `since` to follow a lake: take the last created_at that you saw.
WITH since AS (
    SELECT max(created_at) - INTERVAL 7 DAYS AS created_at
    FROM ops.exports
),
version AS (
    SELECT
        product,
        day,
        version,
        path,
        bytes,
        records,
        created_at,
        lag(version) OVER (PARTITION BY product, day ORDER BY created_at, run_id) AS version_before
    FROM ops.exports
    WHERE status = 'published'
)
SELECT
    version.created_at,
    version.product,
    version.day,
    version.version,
    version.version_before,
    version.records,
    version.bytes,
    version.path
FROM version
INNER JOIN since ON version.created_at > since.created_at
ORDER BY
    version.created_at,
    version.product,
    version.day;
