-- When was each copy of the lake last made and last verified, how much was sent, and was anything found damaged?
-- Grain: one row per place.
SELECT
    place_name,
    max(started_at) FILTER (WHERE act = 'run' AND state = 'done') AS last_run,
    max(started_at) FILTER (WHERE act = 'verify' AND state = 'done') AS last_verification,
    max_by(files, started_at) FILTER (WHERE act = 'run' AND state = 'done') AS files,
    max_by(bytes, started_at) FILTER (WHERE act = 'run' AND state = 'done') AS bytes,
    sum(new_bytes)::BIGINT AS bytes_sent,
    sum(damaged)::BIGINT AS damaged,
    sum(repaired)::BIGINT AS repaired,
    count(*) FILTER (WHERE state = 'failed') AS failures
FROM ops.backups
GROUP BY place_name
ORDER BY place_name;
