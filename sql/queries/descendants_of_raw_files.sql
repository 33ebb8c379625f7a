-- What has to be looked at again if a raw file turns out to be bad: which table-days and products have its packets?
-- Grain: one row per raw file and descendant.
SELECT
    ancestor AS raw_file,
    ancestor_sha256 AS file_sha256,
    descendant_kind,
    descendant,
    day
FROM ops.lineage
WHERE ancestor_kind = 'raw file'
ORDER BY
    raw_file,
    file_sha256,
    descendant_kind,
    descendant,
    day;
