-- What was the newest version of each product made from: table-days, calibrations and raw files?
-- Grain: one row per newest product and ancestor.
-- Older versions have their raw files and calibrations in ops.lineage too.
SELECT
    lineage.descendant AS product_file,
    lineage.day,
    lineage.ancestor_kind,
    lineage.ancestor,
    lineage.ancestor_day,
    lineage.ancestor_sha256
FROM ops.lineage AS lineage
INNER JOIN ops.lineage AS newest
    ON
        lineage.descendant = newest.descendant
        AND newest.steps = 1
WHERE lineage.descendant_kind = 'product'
ORDER BY
    product_file,
    lineage.ancestor_kind,
    lineage.ancestor,
    lineage.ancestor_day;
