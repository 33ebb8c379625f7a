-- Which checks does the newest state of a table-day not pass, and which of them hold its product back?
-- Grain: one row per table-day and rule that did not pass. Only those of severity fail stop a product.
SELECT
    table_name,
    day,
    rule,
    severity,
    value,
    detail,
    checked_at
FROM ops.latest_checks
WHERE NOT passed
ORDER BY
    CASE severity WHEN 'fail' THEN 1 WHEN 'warn' THEN 2 ELSE 3 END,
    day DESC,
    table_name,
    rule;
