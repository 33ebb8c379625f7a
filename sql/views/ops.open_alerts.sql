-- What is wrong now, and who knows of it?
-- Grain: one row per alert that is open or acknowledged, the worst first.
CREATE VIEW ops.open_alerts AS
SELECT
    alert_id,
    severity,
    state,
    subject,
    mission,
    instrument,
    table_name,
    column_name,
    rules,
    start_time,
    since_time,
    end_time,
    episodes,
    "value",
    baseline,
    message,
    plot,
    opened_at,
    changed_at,
    acknowledged_by,
    note
FROM ops.alerts
WHERE state <> 'resolved'
ORDER BY
    severity = 'red' DESC,
    start_time,
    alert_id;

COMMENT ON VIEW ops.open_alerts IS 'Alerts that are not over: one row per alert that is open or acknowledged';
COMMENT ON COLUMN ops.open_alerts.alert_id IS 'Stays the same from run to run';
COMMENT ON COLUMN ops.open_alerts.severity IS 'yellow or red';
COMMENT ON COLUMN ops.open_alerts.state IS 'open or acknowledged';
COMMENT ON COLUMN ops.open_alerts.subject IS 'What is wrong: a table and column, a table, its checks, its builds';
COMMENT ON COLUMN ops.open_alerts.mission IS 'Mission';
COMMENT ON COLUMN ops.open_alerts.instrument IS 'Instrument';
COMMENT ON COLUMN ops.open_alerts.table_name IS 'Address of the table';
COMMENT ON COLUMN ops.open_alerts.column_name IS 'Column, or empty for the whole table';
COMMENT ON COLUMN ops.open_alerts.rules IS 'What is wrong, the worst first, joined by commas';
COMMENT ON COLUMN ops.open_alerts.start_time IS 'UTC time of the data with which it begins';
COMMENT ON COLUMN ops.open_alerts.since_time IS 'UTC time of the data with which it began the last time';
COMMENT ON COLUMN ops.open_alerts.end_time IS 'UTC time of the last data that are wrong';
COMMENT ON COLUMN ops.open_alerts.episodes IS 'How often it began, together with reopenings within a day';
COMMENT ON COLUMN ops.open_alerts."value" IS 'The worst value';
COMMENT ON COLUMN ops.open_alerts.baseline IS 'What is usual, or the limit';
COMMENT ON COLUMN ops.open_alerts.message IS 'What was found in words';
COMMENT ON COLUMN ops.open_alerts.plot IS 'SQL query that gives the data to look at';
COMMENT ON COLUMN ops.open_alerts.opened_at IS 'UTC time at which it was opened';
COMMENT ON COLUMN ops.open_alerts.changed_at IS 'UTC time of its last event';
COMMENT ON COLUMN ops.open_alerts.acknowledged_by IS 'Who acknowledged it';
COMMENT ON COLUMN ops.open_alerts.note IS 'What that person noted';
