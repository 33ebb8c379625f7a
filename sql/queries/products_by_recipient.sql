-- What has each recipient received of each product, up to which day, and has all of it been read back?
-- Grain: one row per recipient, product and format.
-- Counted are product-days, by their newest version that was sent; missing are those that failed or were lost there.
WITH newest AS (
    SELECT
        recipient,
        product,
        format,
        day,
        event,
        bytes,
        delivered_at,
        verified_at
    FROM ops.latest_deliveries
    QUALIFY row_number() OVER (
        PARTITION BY recipient, product, day, format
        ORDER BY string_split(version, '.')::INTEGER[] DESC
    ) = 1
)

SELECT
    recipient,
    product,
    format,
    count(*) AS sent_count,
    count(*) FILTER (event IN ('delivered', 'verified', 'accepted')) AS received_count,
    count(*) FILTER (event IN ('failed', 'blocked', 'lost')) AS missing_count,
    count(*) FILTER (event = 'rejected') AS rejected_count,
    count(*) FILTER (event = 'withdrawn') AS withdrawn_count,
    min(day) AS first_day,
    max(day) AS last_day,
    max(delivered_at) AS last_delivered_at,
    min(verified_at) AS oldest_verification_at,
    sum(bytes) / 1e6 AS sent_mb
FROM newest
GROUP BY
    recipient,
    product,
    format
ORDER BY
    recipient,
    product,
    format;
