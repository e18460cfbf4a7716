-- What model servers say of their models and devices, a row a sample, exactly once by the same means as `inferences`. A
-- server that is watched every ten seconds says a row a model and a device each time: few, so no rollups of them.
CREATE TABLE IF NOT EXISTS server_samples
(
    sample_id UUID,
    source_topic_id LowCardinality(String),
    source_partition UInt32,
    source_offset UInt64 CODEC(Delta, ZSTD(1)),
    source_index UInt32,
    ingested_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    interval_seconds Float64,
    instance LowCardinality(String),
    environment LowCardinality(String),
    model LowCardinality(String),
    model_version LowCardinality(String),
    requests UInt64 CODEC(T64, LZ4),
    failure_reasons Array(LowCardinality(String)),
    failure_counts Array(UInt64),
    inferences UInt64 CODEC(T64, LZ4),
    executions UInt64 CODEC(T64, LZ4),
    pending Nullable(UInt64) CODEC(T64, LZ4),
    request_time Nullable(Float64),
    queue_time Nullable(Float64),
    compute_input_time Nullable(Float64),
    compute_infer_time Nullable(Float64),
    compute_output_time Nullable(Float64),
    cache_hits Nullable(UInt64) CODEC(T64, LZ4),
    cache_misses Nullable(UInt64) CODEC(T64, LZ4),
    device LowCardinality(String),
    utilisation Nullable(Float64),
    memory_used Nullable(Float64),
    memory_total Nullable(Float64),
    power Nullable(Float64),
    power_limit Nullable(Float64),
    energy Nullable(Float64),
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
ORDER BY (environment, at)
TTL toDateTime(at) + INTERVAL 60 DAY
SETTINGS non_replicated_deduplication_window = 100000, lightweight_mutation_projection_mode = 'rebuild';

-- What mirrors say they lost, kept as long as the figures in which it is missing. Of rows with one `report_id` the one
-- with the latest `at` holds.
CREATE TABLE IF NOT EXISTS drop_reports
(
    report_id String CODEC(ZSTD(1)),
    source_topic_id LowCardinality(String),
    source_partition UInt32,
    source_offset UInt64 CODEC(Delta, ZSTD(1)),
    source_index UInt32,
    ingested_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    since DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    instance String CODEC(ZSTD(1)),
    service LowCardinality(String),
    environment LowCardinality(String),
    team LowCardinality(String),
    dropped UInt64 CODEC(T64, LZ4),
    failed UInt64 CODEC(T64, LZ4),
    reasons Array(LowCardinality(String)),
    reason_counts Array(UInt64),
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
ORDER BY (at, report_id)
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 100000, lightweight_mutation_projection_mode = 'rebuild';
