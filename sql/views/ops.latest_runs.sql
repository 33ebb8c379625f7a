-- What was the last attempt to build each table-day?
-- Grain: one row per table-day.
CREATE VIEW ops.latest_runs AS
SELECT
    table_name,
    day,
    run_id,
    reason,
    "rows",
    seconds,
    started_at,
    code_version,
    status,
    error,
    depends_on
FROM ops.runs
QUALIFY row_number() OVER (PARTITION BY table_name, day ORDER BY run_id DESC) = 1;

COMMENT ON VIEW ops.latest_runs IS 'Newest build: one row per table-day';
COMMENT ON COLUMN ops.latest_runs.table_name IS 'Address of the table';
COMMENT ON COLUMN ops.latest_runs.day IS 'UTC date';
COMMENT ON COLUMN ops.latest_runs.run_id IS 'Run';
COMMENT ON COLUMN ops.latest_runs.reason IS 'Why it was built';
COMMENT ON COLUMN ops.latest_runs."rows" IS 'Rows written';
COMMENT ON COLUMN ops.latest_runs.seconds IS 'Wall time [s]';
COMMENT ON COLUMN ops.latest_runs.started_at IS 'UTC time of the start';
COMMENT ON COLUMN ops.latest_runs.code_version IS 'Version of the code';
COMMENT ON COLUMN ops.latest_runs.status IS 'done or failed';
COMMENT ON COLUMN ops.latest_runs.error IS 'Why it failed';
COMMENT ON COLUMN ops.latest_runs.depends_on IS 'What the fingerprint was made of, as JSON';
