-- How long after the end of its day is a product there, and how long after its last raw file?
-- Grain: one row per product, over its first versions. Old days that were taken in afterwards count as they came.
-- The last raw file is the newest of those that were there when the first version was made, not one that came later.
WITH first_version AS (
    SELECT
        product,
        day,
        min(created_at) AS created_at
    FROM ops.exports
    WHERE status = 'published'
    GROUP BY
        product,
        day
),
raw_file AS (
    SELECT
        v.product,
        v.day,
        max(f.received_at) AS received_at
    FROM first_version AS v
    INNER JOIN ops.lineage AS l ON v.product = l.descendant AND v.day = l.day
    INNER JOIN ops.files AS f ON l.ancestor_sha256 = f.file_sha256 AND v.created_at >= f.received_at
    WHERE l.descendant_kind = 'table-day' AND l.ancestor_kind = 'raw file'
    GROUP BY
        v.product,
        v.day
)
SELECT
    v.product,
    count(*) AS days,
    median(epoch(v.created_at - (v.day + 1)::TIMESTAMPTZ) / 3600) AS median_after_day_h,
    quantile_cont(epoch(v.created_at - (v.day + 1)::TIMESTAMPTZ) / 3600, 0.95) AS p95_after_day_h,
    median(epoch(v.created_at - r.received_at) / 60) AS median_after_raw_min
FROM first_version AS v
LEFT JOIN raw_file AS r USING (product, day)
GROUP BY v.product
ORDER BY v.product;
