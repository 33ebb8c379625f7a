-- Which is the newest version of each product-day, and where is it?
-- Grain: one row per product-day, of its highest version; all versions are in ops.exports.
CREATE VIEW ops.latest_products AS
SELECT
    product,
    day,
    version,
    path,
    bytes,
    sha256,
    records,
    parents,
    created_at,
    code_version,
    deliverable,
    made_from
FROM ops.exports
QUALIFY row_number() OVER (
    PARTITION BY product, day
    ORDER BY string_split(version, '.')::INTEGER[] DESC, run_id DESC
) = 1;

COMMENT ON VIEW ops.latest_products IS 'Newest version of each product: one row per product-day';
COMMENT ON COLUMN ops.latest_products.product IS 'Address of the table that the product is made from';
COMMENT ON COLUMN ops.latest_products.day IS 'UTC date';
COMMENT ON COLUMN ops.latest_products.version IS 'X.Y.Z';
COMMENT ON COLUMN ops.latest_products.path IS 'Path below the lake''s root';
COMMENT ON COLUMN ops.latest_products.bytes IS 'Size of the file [byte]';
COMMENT ON COLUMN ops.latest_products.sha256 IS 'sha256 of the file';
COMMENT ON COLUMN ops.latest_products.records IS 'Records of the file';
COMMENT ON COLUMN ops.latest_products.parents IS 'Names of the raw files it descends from, as JSON';
COMMENT ON COLUMN ops.latest_products.created_at IS 'UTC time of its last export';
COMMENT ON COLUMN ops.latest_products.code_version IS 'Version of the code';
COMMENT ON COLUMN ops.latest_products.deliverable IS 'Whether the file may be delivered to an archive';
COMMENT ON COLUMN ops.latest_products.made_from IS 'What the file was made from, as JSON';
