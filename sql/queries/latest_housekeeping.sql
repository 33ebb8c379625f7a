-- What is the newest value of every housekeeping channel of MeDDEA, and how old is it?
-- Grain: one row per channel, in the order of the table. Age counts from the newest row of any table.
WITH newest AS (
    SELECT
        arg_max(columns('_degc$|_v$|_na$|_ma$|_percent$')::DOUBLE, time),
        max(time) AS time
    FROM padre.meddea_l1_housekeeping
    WHERE day = (SELECT max(day) FROM ops.table_days WHERE table_name = 'padre.meddea_l1_housekeeping')
),
channel AS (
    UNPIVOT newest
    ON columns('_degc$|_v$|_na$|_ma$|_percent$')
    INTO NAME column_name VALUE value
)
SELECT
    channel.column_name,
    channel.value,
    channel.time,
    described.comment AS description_and_unit
FROM channel
INNER JOIN duckdb_columns() AS described
    ON
        channel.column_name = described.column_name
        AND described.schema_name = 'padre'
        AND described.table_name = 'meddea_l1_housekeeping'
ORDER BY described.column_index;
