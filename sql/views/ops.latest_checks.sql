-- How was each table-day judged the last time?
-- Grain: one row per table-day and rule, of the newest checks of that table-day only.
CREATE VIEW ops.latest_checks AS
WITH newest AS (
    SELECT
        table_name,
        day,
        max(run_id) AS run_id
    FROM ops.checks
    GROUP BY
        table_name,
        day
)
SELECT
    checks.table_name,
    checks.day,
    checks.rule,
    checks.severity,
    checks.passed,
    checks.value,
    checks.detail,
    checks.checked_at,
    checks.run_id
FROM ops.checks AS checks
INNER JOIN newest USING (table_name, day, run_id);

COMMENT ON VIEW ops.latest_checks IS 'Newest verdicts: one row per table-day and rule';
COMMENT ON COLUMN ops.latest_checks.table_name IS 'Address of the table';
COMMENT ON COLUMN ops.latest_checks.day IS 'UTC date';
COMMENT ON COLUMN ops.latest_checks.rule IS 'Name of the rule';
COMMENT ON COLUMN ops.latest_checks.severity IS 'fail gates the export, warn and info do not';
COMMENT ON COLUMN ops.latest_checks.passed IS 'Whether the rule holds';
COMMENT ON COLUMN ops.latest_checks.value IS 'The judged number';
COMMENT ON COLUMN ops.latest_checks.detail IS 'The rule in words with its limits';
COMMENT ON COLUMN ops.latest_checks.checked_at IS 'UTC time of the check';
COMMENT ON COLUMN ops.latest_checks.run_id IS 'Run that judged';
