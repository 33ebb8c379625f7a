-- Which errors did MeDDEA report, and when?
-- Grain: one row per housekeeping packet and error bit that is set. A bit without a name has a null name.
CREATE VIEW padre.meddea_error_bits AS
WITH edition AS (
    SELECT
        valid_from,
        lead(valid_from, 1, DATE '9999-12-31') OVER (ORDER BY valid_from) AS valid_until
    FROM (
        SELECT DISTINCT valid_from
        FROM padre.meddea_calibration_error_bits
    )
),
error_bit AS (
    SELECT
        edition.valid_from,
        edition.valid_until,
        names.bit,
        names.name
    FROM padre.meddea_calibration_error_bits AS names
    INNER JOIN edition USING (valid_from)
),
set_bit AS (
    SELECT
        packets.epoch_tt2000,
        packets.time,
        packets.error_summary,
        bits.bit,
        packets.day
    FROM padre.meddea_l1_housekeeping AS packets
    CROSS JOIN range(16) AS bits (bit)
    WHERE (packets.error_summary >> bits.bit) & 1 = 1
)
SELECT
    set_bit.epoch_tt2000,
    set_bit.time,
    set_bit.bit,
    error_bit.name,
    set_bit.error_summary,
    set_bit.day
FROM set_bit
LEFT JOIN error_bit
    ON
        set_bit.bit = error_bit.bit
        AND set_bit.day >= error_bit.valid_from
        AND set_bit.day < error_bit.valid_until;

COMMENT ON VIEW padre.meddea_error_bits IS 'MeDDEA errors by name: one row per housekeeping packet and error bit that is set';
COMMENT ON COLUMN padre.meddea_error_bits.epoch_tt2000 IS 'Time as TT2000 [ns]';
COMMENT ON COLUMN padre.meddea_error_bits.time IS 'Time in UTC';
COMMENT ON COLUMN padre.meddea_error_bits.bit IS 'Bit of error_summary, 0 is the lowest';
COMMENT ON COLUMN padre.meddea_error_bits.name IS 'Name of the error from calibration/error_bits_*.csv';
COMMENT ON COLUMN padre.meddea_error_bits.error_summary IS 'All error bits of the packet';
COMMENT ON COLUMN padre.meddea_error_bits.day IS 'UTC date of the data';
