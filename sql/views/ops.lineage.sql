-- What does each table-day and product descend from, and what descends from a raw file, calibration or table-day?
-- Grain: one row per descendant and ancestor.
-- The way of a table-day is the one that the run noted in ops.runs which wrote the files that are there. Of a
-- neighbouring day's level 0 only the raw files count that had packets in the margin. A product has the raw files and calibrations that were noted when
-- it was made, and its newest version has the table-days too. Raw files that came under two names are there twice.
CREATE VIEW ops.lineage AS
WITH RECURSIVE run AS (
    SELECT
        table_name,
        day,
        unnest(map_entries(from_json(depends_on, '"MAP(VARCHAR, VARCHAR)"'))) AS part
    FROM ops.runs
    INNER JOIN ops.table_days USING (table_name, day, files)
    WHERE status = 'done'
    QUALIFY row_number() OVER (PARTITION BY table_name, day ORDER BY run_id DESC) = 1
),
part AS (
    SELECT
        table_name,
        day,
        part.key AS name,
        part.value AS value
    FROM run
    WHERE part.value <> ''
),
input AS (
    SELECT
        table_name,
        day,
        substr(name, len('input ') + 1) AS source
    FROM part
    WHERE starts_with(name, 'input ')
),
parent AS (
    SELECT
        table_name,
        day,
        source,
        day AS source_day,
        NULL::VARCHAR AS margin_files
    FROM input
    UNION ALL
    SELECT DISTINCT
        part.table_name,
        part.day,
        margins.source,
        margins.day,
        margins.files
    FROM part
    INNER JOIN ops.margins AS margins
        ON
            part.value = margins.fingerprint
            AND margins.day = part.day + if(starts_with(part.name, 'margin before '), -1, 1)
    WHERE starts_with(part.name, 'margin ')
),
ancestor AS (
    SELECT
        table_name,
        day,
        source,
        source_day,
        margin_files,
        1 AS steps
    FROM parent
    UNION
    SELECT
        ancestor.table_name,
        ancestor.day,
        parent.source,
        parent.source_day,
        parent.margin_files,
        ancestor.steps + 1
    FROM ancestor
    INNER JOIN parent
        ON
            ancestor.source = parent.table_name
            AND ancestor.source_day = parent.day
),
member AS (
    SELECT
        table_name,
        day,
        table_name AS source,
        day AS source_day,
        NULL::VARCHAR AS margin_files,
        0 AS steps
    FROM part
    UNION ALL
    SELECT
        table_name,
        day,
        source,
        source_day,
        margin_files,
        steps
    FROM ancestor
),
level_0 AS (
    SELECT
        contents.table_name,
        contents.day,
        contents.file_sha256,
        files.name
    FROM ops.contents AS contents
    INNER JOIN ops.files AS files USING (file_sha256, definition)
    WHERE contents.rows > 0
),
of_table_day AS (
    SELECT
        table_name,
        day,
        'table-day' AS kind,
        source AS name,
        source_day,
        NULL::VARCHAR AS sha256,
        steps
    FROM ancestor
    UNION ALL
    SELECT
        member.table_name,
        member.day,
        'calibration',
        substr(part.name, len('calibration ') + 1),
        NULL::DATE,
        part.value,
        member.steps + 1
    FROM member
    INNER JOIN part
        ON
            member.source = part.table_name
            AND member.source_day = part.day
            AND starts_with(part.name, 'calibration ')
    UNION ALL
    SELECT
        table_name,
        day,
        'raw file',
        name,
        NULL::DATE,
        file_sha256,
        1
    FROM level_0
    UNION ALL
    SELECT
        ancestor.table_name,
        ancestor.day,
        'raw file',
        level_0.name,
        NULL::DATE,
        level_0.file_sha256,
        ancestor.steps + 1
    FROM ancestor
    INNER JOIN level_0
        ON
            ancestor.source = level_0.table_name
            AND ancestor.source_day = level_0.day
            AND (
                ancestor.margin_files IS NULL
                OR list_contains(from_json(ancestor.margin_files, '["VARCHAR"]'), level_0.file_sha256)
            )
),
product AS (
    SELECT
        product,
        day,
        version,
        parse_filename(path) AS name,
        made_from
    FROM ops.exports
    QUALIFY row_number() OVER (PARTITION BY path ORDER BY run_id DESC) = 1
),
product_raw AS (
    SELECT
        name,
        day,
        unnest(from_json(made_from -> 'raw', '["VARCHAR"]')) AS receipt
    FROM product
),
newest_product AS (
    SELECT
        product,
        day,
        name
    FROM product
    QUALIFY
        row_number() OVER (
            PARTITION BY product, day
            ORDER BY list_transform(string_split(version, '.'), lambda number : number::INTEGER) DESC
        ) = 1
),
of_product AS (
    SELECT
        name AS product,
        day,
        'table-day' AS kind,
        product AS name,
        day AS source_day,
        NULL::VARCHAR AS sha256,
        1 AS steps
    FROM newest_product
    UNION ALL
    SELECT
        newest_product.name,
        newest_product.day,
        of_table_day.kind,
        of_table_day.name,
        of_table_day.source_day,
        of_table_day.sha256,
        of_table_day.steps + 1
    FROM newest_product
    INNER JOIN of_table_day
        ON
            newest_product.product = of_table_day.table_name
            AND newest_product.day = of_table_day.day
            AND of_table_day.kind = 'table-day'
    UNION ALL
    SELECT
        product.name,
        product.day,
        'raw file',
        files.name,
        NULL::DATE,
        files.file_sha256,
        NULL::INTEGER
    FROM product_raw AS product
    INNER JOIN ops.files AS files ON product.receipt = files.receipt
    UNION ALL
    SELECT
        name,
        day,
        'calibration',
        calibration.key,
        NULL::DATE,
        calibration.value,
        NULL::INTEGER
    FROM (
        SELECT
            name,
            day,
            unnest(map_entries(from_json(made_from -> 'calibrations', '"MAP(VARCHAR, VARCHAR)"'))) AS calibration
        FROM product
    )
)
SELECT
    'table-day' AS descendant_kind,
    table_name AS descendant,
    day,
    kind AS ancestor_kind,
    name AS ancestor,
    source_day AS ancestor_day,
    sha256 AS ancestor_sha256,
    min(steps) AS steps
FROM of_table_day
GROUP BY ALL
UNION ALL
SELECT
    'product',
    product,
    day,
    kind,
    name,
    source_day,
    sha256,
    min(steps)
FROM of_product
GROUP BY ALL;

COMMENT ON VIEW ops.lineage IS 'What descends from what: one row per descendant and ancestor';
COMMENT ON COLUMN ops.lineage.descendant_kind IS 'table-day or product';
COMMENT ON COLUMN ops.lineage.descendant IS 'Address of a table, or name of a product''s file';
COMMENT ON COLUMN ops.lineage.day IS 'UTC date of the descendant';
COMMENT ON COLUMN ops.lineage.ancestor_kind IS 'table-day, raw file or calibration';
COMMENT ON COLUMN ops.lineage.ancestor IS 'Address of a table, name of a raw file, or name of a calibration';
COMMENT ON COLUMN ops.lineage.ancestor_day IS 'UTC date of an ancestor that is a table-day';
COMMENT ON COLUMN ops.lineage.ancestor_sha256 IS 'sha256 of a raw file or calibration';
COMMENT ON COLUMN ops.lineage.steps IS 'Builds in between and the last one; null where a product noted it by itself';
