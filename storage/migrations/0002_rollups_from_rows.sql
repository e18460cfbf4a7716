-- Rollups were fed by materialised views, which commit after their rows: a server that dies in between leaves them
-- apart. They are now made from stored rows, and each insert into one carries how far it got (see `storage/rollups.py`).
-- Of two inserts with the same token only the first counts; tokens name the position that an insert follows.
ALTER TABLE inferences MODIFY SETTING non_replicated_deduplication_window = 100000,
    lightweight_mutation_projection_mode = 'rebuild',
    -- A block of 10,000 rows in files by the column costs the engine twice of one in a single file.
    min_bytes_for_wide_part = 134217728;

-- Which rows of which partition arrived when: a few rows a part, from which it is known in milliseconds how far the
-- table is, where the rows behind a mark are, and whether a day's figures are those of its rows.
ALTER TABLE inferences ADD PROJECTION IF NOT EXISTS ledger
(
    SELECT
        source_topic_id, source_partition, toDate(ingested_at), toStartOfMinute(ingested_at),
        min(source_offset), max(source_offset), count(),
        sum(cityHash64(source_topic_id, source_partition, source_offset, source_index))
    GROUP BY source_topic_id, source_partition, toDate(ingested_at), toStartOfMinute(ingested_at)
);
ALTER TABLE inferences ADD INDEX IF NOT EXISTS by_source_offset source_offset TYPE minmax GRANULARITY 1;
ALTER TABLE inferences MATERIALIZE PROJECTION ledger;
ALTER TABLE inferences MATERIALIZE INDEX by_source_offset;

-- Of text that was cut: the SHA-256 of the whole, beside its length.
ALTER TABLE inferences ADD COLUMN IF NOT EXISTS input_sha256 String AFTER output_characters;
ALTER TABLE inferences ADD COLUMN IF NOT EXISTS output_sha256 String AFTER input_sha256;

DROP TABLE IF EXISTS metrics_1m_from_inferences;
DROP TABLE IF EXISTS pii_hits_from_inferences;
DROP TABLE IF EXISTS metrics_1m;
DROP TABLE IF EXISTS pii_hits;

-- A row is either figures, with an environment, or a mark, without one: mark rows say up to which offset of which
-- partition of which topic the figures beside them go. Partitioned by the day that the rows arrived, so that one step
-- is one part, and a day can be made again and put in place at once.
CREATE TABLE IF NOT EXISTS metrics_1m
(
    bucket DateTime('UTC'),
    ingested_on Date,
    environment LowCardinality(String),
    model LowCardinality(String),
    model_version LowCardinality(String),
    service LowCardinality(String),
    team LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    source LowCardinality(String),
    status LowCardinality(String),
    mark_topic_id LowCardinality(String),
    mark_partition UInt32,
    mark_offset SimpleAggregateFunction(max, UInt64),
    mark_generation SimpleAggregateFunction(max, UInt64),
    requests SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    cancelled SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    cache_read_tokens SimpleAggregateFunction(sum, UInt64),
    cache_creation_tokens SimpleAggregateFunction(sum, UInt64),
    reasoning_tokens SimpleAggregateFunction(sum, UInt64),
    cost SimpleAggregateFunction(sum, Decimal(38, 9)),
    requests_without_cost SimpleAggregateFunction(sum, UInt64),
    requests_without_tokens SimpleAggregateFunction(sum, UInt64),
    requests_with_pii SimpleAggregateFunction(sum, UInt64),
    fingerprint SimpleAggregateFunction(sum, UInt64),
    duration AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float64),
    time_to_first_token AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Nullable(Float64)),
    time_per_output_token AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Nullable(Float64)),
    queue_time AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Nullable(Float64))
)
ENGINE = AggregatingMergeTree
PARTITION BY ingested_on
ORDER BY
(
    environment, model, bucket, model_version, service, team, prompt_name, prompt_version, source, status,
    mark_topic_id, mark_partition
)
TTL bucket + INTERVAL 60 DAY WHERE environment != ''
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS metrics_1h
(
    bucket DateTime('UTC'),
    ingested_on Date,
    environment LowCardinality(String),
    model LowCardinality(String),
    model_version LowCardinality(String),
    service LowCardinality(String),
    team LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    source LowCardinality(String),
    status LowCardinality(String),
    mark_topic_id LowCardinality(String),
    mark_partition UInt32,
    mark_offset SimpleAggregateFunction(max, UInt64),
    mark_generation SimpleAggregateFunction(max, UInt64),
    requests SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    cancelled SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    cache_read_tokens SimpleAggregateFunction(sum, UInt64),
    cache_creation_tokens SimpleAggregateFunction(sum, UInt64),
    reasoning_tokens SimpleAggregateFunction(sum, UInt64),
    cost SimpleAggregateFunction(sum, Decimal(38, 9)),
    requests_without_cost SimpleAggregateFunction(sum, UInt64),
    requests_without_tokens SimpleAggregateFunction(sum, UInt64),
    requests_with_pii SimpleAggregateFunction(sum, UInt64),
    fingerprint SimpleAggregateFunction(sum, UInt64),
    duration AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float64),
    time_to_first_token AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Nullable(Float64)),
    time_per_output_token AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Nullable(Float64)),
    queue_time AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Nullable(Float64))
)
ENGINE = AggregatingMergeTree
PARTITION BY ingested_on
ORDER BY
(
    environment, model, bucket, model_version, service, team, prompt_name, prompt_version, source, status,
    mark_topic_id, mark_partition
)
TTL bucket + INTERVAL 400 DAY WHERE environment != ''
SETTINGS non_replicated_deduplication_window = 10000;

-- Type, number and place of what was found, by minute; never the value.
CREATE TABLE IF NOT EXISTS pii_hits
(
    bucket DateTime('UTC'),
    ingested_on Date,
    environment LowCardinality(String),
    model LowCardinality(String),
    team LowCardinality(String),
    entity_type LowCardinality(String),
    place LowCardinality(String),
    mark_topic_id LowCardinality(String),
    mark_partition UInt32,
    mark_offset SimpleAggregateFunction(max, UInt64),
    mark_generation SimpleAggregateFunction(max, UInt64),
    hits SimpleAggregateFunction(sum, UInt64),
    inferences SimpleAggregateFunction(sum, UInt64),
    fingerprint SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY ingested_on
ORDER BY (environment, model, bucket, team, entity_type, place, mark_topic_id, mark_partition)
TTL bucket + INTERVAL 400 DAY WHERE environment != ''
SETTINGS non_replicated_deduplication_window = 10000;

-- Ratings and corrections of inferences, exactly once by the same means as `inferences`.
CREATE TABLE IF NOT EXISTS feedback
(
    feedback_id String,
    source_topic_id LowCardinality(String),
    source_partition UInt32,
    source_offset UInt64,
    source_index UInt32,
    ingested_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    event_id Nullable(UUID),
    response_id String,
    score Nullable(Float64),
    label LowCardinality(String),
    comment String CODEC(ZSTD(3)) TTL toDateTime(ingested_at) + INTERVAL 30 DAY,
    who String,
    INDEX by_event_id event_id TYPE bloom_filter GRANULARITY 4,
    PROJECTION ledger
    (
        SELECT
            source_topic_id, source_partition, toDate(ingested_at), toStartOfMinute(ingested_at),
            min(source_offset), max(source_offset), count(),
            sum(cityHash64(source_topic_id, source_partition, source_offset, source_index))
        GROUP BY source_topic_id, source_partition, toDate(ingested_at), toStartOfMinute(ingested_at)
    )
)
ENGINE = MergeTree
PARTITION BY toDate(ingested_at)
ORDER BY (at, feedback_id)
TTL toDateTime(ingested_at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 100000, lightweight_mutation_projection_mode = 'rebuild';

-- Who did what to whose data, and what came of it. Never holds what was erased.
CREATE TABLE IF NOT EXISTS audit_log
(
    at DateTime64(6, 'UTC'),
    actor LowCardinality(String),
    action LowCardinality(String),
    subject String,
    outcome LowCardinality(String),
    details String
)
ENGINE = MergeTree
ORDER BY (at, action);
