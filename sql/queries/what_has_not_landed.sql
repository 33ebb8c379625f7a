-- Which files of which sources have not landed, why, and since when?
-- Grain: one row per source and path, as it stands now; files that landed, were known or are ignored are left out.
WITH newest AS (
    SELECT
        source,
        path,
        state,
        detail,
        attempts,
        manifest,
        first_seen_at,
        noted_at
    FROM ops.receptions
    QUALIFY row_number() OVER (
        PARTITION BY source, path
        ORDER BY run_id DESC, noted_at DESC
    ) = 1
)

SELECT
    source,
    path,
    state,
    detail,
    attempts,
    manifest,
    first_seen_at,
    noted_at
FROM newest
WHERE state NOT IN ('landed', 'known', 'ignored')
ORDER BY
    source,
    first_seen_at,
    path;
