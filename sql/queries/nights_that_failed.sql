-- Which nights were not well, in which stage, and what did the stage say first?
-- Grain: one row per night and stage that was not ok, the newest night first.
SELECT
    night_id,
    stage,
    state,
    started_at,
    seconds,
    json_array_length(problems) AS problems_count,
    json_array_length(notes) AS notes_count,
    coalesce(problems ->> 0, notes ->> 0) AS said_first,
    code_version
FROM ops.nights
WHERE state <> 'ok'
ORDER BY
    night_id DESC,
    number;
