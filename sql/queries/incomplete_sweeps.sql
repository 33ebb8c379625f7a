-- Which sweeps of EEA lack steps, and between which packets?
-- Grain: one row per sweep with fewer steps than the stepper table has.
SELECT
    counts.time,
    counts.n_steps AS steps_count,
    stepper.steps_count - counts.n_steps AS missing_steps_count,
    counts.first_sequence_count,
    counts.last_sequence_count,
    counts.quality_flag
FROM hermes.eea_l1_counts AS counts
CROSS JOIN (
    SELECT count(DISTINCT step) AS steps_count
    FROM hermes.eea_calibration_stepper
) AS stepper
WHERE counts.n_steps < stepper.steps_count
ORDER BY counts.epoch_tt2000;
