-- Which raw files have bytes that are neither decoded nor quarantined? There should be none.
-- Grain: one row per raw file that does not balance.
CREATE VIEW ops.unbalanced_files AS
SELECT
    file_sha256,
    name,
    mission,
    instrument,
    received_at,
    bytes,
    bytes_decoded,
    bytes_quarantined,
    bytes - bytes_decoded - bytes_quarantined AS bytes_unaccounted,
    status,
    run_id
FROM ops.files
WHERE bytes_decoded + bytes_quarantined <> bytes;

COMMENT ON VIEW ops.unbalanced_files IS 'Raw files whose bytes are not all accounted for: one row per file';
COMMENT ON COLUMN ops.unbalanced_files.file_sha256 IS 'sha256 of the raw file';
COMMENT ON COLUMN ops.unbalanced_files.name IS 'Name under which the file arrived';
COMMENT ON COLUMN ops.unbalanced_files.mission IS 'Mission';
COMMENT ON COLUMN ops.unbalanced_files.instrument IS 'Instrument';
COMMENT ON COLUMN ops.unbalanced_files.received_at IS 'UTC time of arrival';
COMMENT ON COLUMN ops.unbalanced_files.bytes IS 'Size of the file [byte]';
COMMENT ON COLUMN ops.unbalanced_files.bytes_decoded IS 'Bytes in decoded packets [byte]';
COMMENT ON COLUMN ops.unbalanced_files.bytes_quarantined IS 'Bytes in quarantined stretches [byte]';
COMMENT ON COLUMN ops.unbalanced_files.bytes_unaccounted IS 'Bytes that are neither; negative if some were counted twice [byte]';
COMMENT ON COLUMN ops.unbalanced_files.status IS 'ingested, empty or refused';
COMMENT ON COLUMN ops.unbalanced_files.run_id IS 'Run that decoded the file';
