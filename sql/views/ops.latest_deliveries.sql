-- What has each recipient received of each product file, and is it still there?
-- Grain: one row per recipient and file; `event` is what happened last.
CREATE VIEW ops.latest_deliveries AS
SELECT
    recipient,
    path,
    product,
    day,
    version,
    format,
    dataset,
    bytes,
    sha256,
    event,
    count(*) OVER file AS attempts,
    attempted_at,
    max(delivered_at) OVER file AS delivered_at,
    max(verified_at) OVER file AS verified_at,
    coalesce(detail, '') AS detail
FROM ops.deliveries
WINDOW file AS (PARTITION BY recipient, path)
QUALIFY row_number() OVER (
    PARTITION BY recipient, path
    ORDER BY entry DESC, number DESC
) = 1;

COMMENT ON VIEW ops.latest_deliveries IS 'Last event of each delivered file: one row per recipient and file';
COMMENT ON COLUMN ops.latest_deliveries.recipient IS 'Name of the recipient';
COMMENT ON COLUMN ops.latest_deliveries.path IS 'Path below the recipient''s folder';
COMMENT ON COLUMN ops.latest_deliveries.product IS 'Address of the table that the product is made from';
COMMENT ON COLUMN ops.latest_deliveries.day IS 'UTC date';
COMMENT ON COLUMN ops.latest_deliveries.version IS 'X.Y.Z';
COMMENT ON COLUMN ops.latest_deliveries.format IS 'cdf or fits';
COMMENT ON COLUMN ops.latest_deliveries.dataset IS 'Logical source of the product';
COMMENT ON COLUMN ops.latest_deliveries.bytes IS 'Size of the file [byte]';
COMMENT ON COLUMN ops.latest_deliveries.sha256 IS 'sha256 of the file';
COMMENT ON COLUMN ops.latest_deliveries.event IS 'What happened last: delivered, failed, blocked (failed before anything was put there), verified, lost, withdrawn, accepted or rejected';
COMMENT ON COLUMN ops.latest_deliveries.attempts IS 'Number of attempts to send, verify or withdraw it';
COMMENT ON COLUMN ops.latest_deliveries.attempted_at IS 'UTC time of the last attempt';
COMMENT ON COLUMN ops.latest_deliveries.delivered_at IS 'UTC time when it last got its name at the recipient';
COMMENT ON COLUMN ops.latest_deliveries.verified_at IS 'UTC time when its hash was last read back and was right';
COMMENT ON COLUMN ops.latest_deliveries.detail IS 'What went wrong, or why it was withdrawn; empty if nothing did';
