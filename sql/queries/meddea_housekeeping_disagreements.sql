-- Where does MeDDEA's housekeeping that came through the spacecraft differ from the packets that came on their own?
-- Grain: one row per word that differs, of a row and a packet with the same sequence count and time.
-- Both are taken as sent. A packet that came twice is taken once.
WITH passed_on AS (
    SELECT
        ccsds2 % 16384 AS sequence_count,
        time_s,
        time AS stamp,
        fp_temp,
        dib_temp,
        hvps_temp,
        hvps_vsense,
        hvps_csense,
        csense_15v,
        csense_33vd,
        csense_33va,
        hit_rate,
        good_cmd_cnt,
        error_cnt,
        heater_pwm_duty_cycle,
        decimation_rate,
        error_summary,
        checksum
    FROM padre.craft_l0_meddea_housekeeping
    WHERE quality_flag & (
        SELECT sum(mask)::INTEGER
        FROM padre.craft_flags
        WHERE name IN ('clock_invalid', 'retransmitted')
    ) = 0
),
packet AS (
    SELECT
        sequence_count,
        time_s,
        fp_temp,
        dib_temp,
        hvps_temp,
        hvps_vsense,
        hvps_csense,
        csense_15v,
        csense_33vd,
        csense_33va,
        hit_rate,
        good_cmd_cnt,
        error_cnt,
        heater_pwm_duty_cycle,
        decimation_rate,
        error_summary,
        checksum
    FROM padre.meddea_l0_housekeeping
    WHERE quality_flag & (
        SELECT sum(mask)::INTEGER
        FROM padre.meddea_flags
        WHERE name IN ('clock_invalid', 'retransmitted')
    ) = 0
),
passed_on_word AS (
    UNPIVOT passed_on
    ON COLUMNS(* EXCLUDE (sequence_count, time_s, stamp))
    INTO NAME word VALUE value_passed_on
),
packet_word AS (
    UNPIVOT packet
    ON COLUMNS(* EXCLUDE (sequence_count, time_s))
    INTO NAME word VALUE value_in_packet
)
SELECT
    passed_on_word.stamp,
    passed_on_word.sequence_count,
    passed_on_word.time_s,
    passed_on_word.word,
    passed_on_word.value_passed_on,
    packet_word.value_in_packet
FROM passed_on_word
INNER JOIN packet_word USING (sequence_count, time_s, word)
WHERE passed_on_word.value_passed_on <> packet_word.value_in_packet
ORDER BY
    passed_on_word.stamp,
    passed_on_word.sequence_count,
    passed_on_word.word;
