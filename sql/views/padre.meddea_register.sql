-- What was read from which register of MeDDEA, by name?
-- Grain: one row per register-read response as received. The name is null where the address has none.
CREATE VIEW padre.meddea_register AS
WITH edition AS (
    SELECT
        valid_from,
        lead(valid_from, 1, DATE '9999-12-31') OVER (ORDER BY valid_from) AS valid_until
    FROM (
        SELECT DISTINCT valid_from
        FROM padre.meddea_calibration_registers
    )
),
register AS (
    SELECT
        edition.valid_from,
        edition.valid_until,
        names.address,
        names.name,
        names.subsystem
    FROM padre.meddea_calibration_registers AS names
    INNER JOIN edition USING (valid_from)
)
SELECT
    reads.epoch_tt2000,
    reads.time,
    reads.apid,
    reads.address,
    register.name,
    register.subsystem,
    reads.value,
    reads.quality_flag,
    reads.file_sha256,
    reads.byte_offset,
    reads.day
FROM padre.meddea_l0_register AS reads
LEFT JOIN register
    ON
        reads.address = register.address
        AND reads.day >= register.valid_from
        AND reads.day < register.valid_until;

COMMENT ON VIEW padre.meddea_register IS 'MeDDEA register reads by name: one row per register-read response as received';
COMMENT ON COLUMN padre.meddea_register.epoch_tt2000 IS 'Time as TT2000 [ns]';
COMMENT ON COLUMN padre.meddea_register.time IS 'Time in UTC';
COMMENT ON COLUMN padre.meddea_register.apid IS 'Application process identifier';
COMMENT ON COLUMN padre.meddea_register.address IS 'Register address';
COMMENT ON COLUMN padre.meddea_register.name IS 'Register name from calibration/registers_*.csv';
COMMENT ON COLUMN padre.meddea_register.subsystem IS 'Subsystem that the register belongs to';
COMMENT ON COLUMN padre.meddea_register.value IS 'Register value';
COMMENT ON COLUMN padre.meddea_register.quality_flag IS 'Quality bits that are set; 0 is none, and not every bit means that values are bad';
COMMENT ON COLUMN padre.meddea_register.file_sha256 IS 'sha256 of the raw file';
COMMENT ON COLUMN padre.meddea_register.byte_offset IS 'Offset of the packet in its raw file [byte]';
COMMENT ON COLUMN padre.meddea_register.day IS 'UTC date of the data';
