-- Partitioned by the day of insertion, so that every insert is one atomic part, whatever the events' own times are.
-- Each row carries the Kafka record it came from: that is how a worker finds out how far the table got.
CREATE TABLE IF NOT EXISTS inferences
(
    event_id UUID,
    source_topic_id LowCardinality(String),
    source_partition UInt32,
    source_offset UInt64,
    source_index UInt32,
    ingested_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    started_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    environment LowCardinality(String),
    service LowCardinality(String),
    team LowCardinality(String),
    user String,
    source LowCardinality(String),
    trace_id String,
    span_id String,
    parent_span_id String,
    conversation_id String,
    response_id String,
    operation LowCardinality(String),
    provider LowCardinality(String),
    request_model LowCardinality(String),
    model LowCardinality(String),
    model_version LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    parameters String CODEC(ZSTD),
    stream Bool,
    time_to_first_token Nullable(Float64),
    time_per_output_token Nullable(Float64),
    duration Float64,
    queue_time Nullable(Float64),
    compute_time Nullable(Float64),
    input_tokens Nullable(UInt32),
    output_tokens Nullable(UInt32),
    cache_read_tokens Nullable(UInt32),
    cache_creation_tokens Nullable(UInt32),
    reasoning_tokens Nullable(UInt32),
    token_source LowCardinality(String),
    cost Nullable(Decimal(18, 9)),
    price LowCardinality(String),
    status LowCardinality(String),
    error_type LowCardinality(String),
    error_message String CODEC(ZSTD) TTL toDateTime(ingested_at) + INTERVAL 30 DAY,
    finish_reasons Array(LowCardinality(String)),
    input_messages String CODEC(ZSTD(3)) TTL toDateTime(ingested_at) + INTERVAL 30 DAY,
    output_messages String CODEC(ZSTD(3)) TTL toDateTime(ingested_at) + INTERVAL 30 DAY,
    input_characters UInt32,
    output_characters UInt32,
    truncated Bool,
    content_unavailable Bool,
    pii Array(Tuple(entity_type LowCardinality(String), place LowCardinality(String), hits UInt32)),
    tensors String CODEC(ZSTD),
    attributes Map(LowCardinality(String), String),
    flags Array(LowCardinality(String)),
    INDEX by_event_id event_id TYPE bloom_filter GRANULARITY 4,
    INDEX by_trace_id trace_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toDate(ingested_at)
ORDER BY (environment, model, started_at)
TTL toDateTime(ingested_at) + INTERVAL 90 DAY;

CREATE TABLE IF NOT EXISTS metrics_1m
(
    minute DateTime('UTC'),
    environment LowCardinality(String),
    model LowCardinality(String),
    model_version LowCardinality(String),
    service LowCardinality(String),
    team LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    requests SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    cancelled SimpleAggregateFunction(sum, UInt64),
    input_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    cost SimpleAggregateFunction(sum, Decimal(38, 9)),
    requests_without_cost SimpleAggregateFunction(sum, UInt64),
    requests_without_tokens SimpleAggregateFunction(sum, UInt64),
    requests_with_pii SimpleAggregateFunction(sum, UInt64),
    duration AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float64),
    time_to_first_token AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Nullable(Float64)),
    time_per_output_token AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Nullable(Float64))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (environment, model, minute, model_version, service, team, prompt_name, prompt_version)
TTL minute + INTERVAL 400 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS metrics_1m_from_inferences TO metrics_1m AS
SELECT
    toStartOfMinute(toDateTime(started_at)) AS minute,
    environment, model, model_version, service, team, prompt_name, prompt_version,
    count() AS requests,
    countIf(status = 'error') AS errors,
    countIf(status = 'cancelled') AS cancelled,
    sum(toUInt64(ifNull(inferences.input_tokens, 0))) AS input_tokens,
    sum(toUInt64(ifNull(inferences.output_tokens, 0))) AS output_tokens,
    sum(ifNull(inferences.cost, toDecimal64(0, 9))) AS cost,
    countIf(isNull(inferences.cost)) AS requests_without_cost,
    countIf(isNull(inferences.output_tokens)) AS requests_without_tokens,
    countIf(notEmpty(pii)) AS requests_with_pii,
    quantilesTDigestState(0.5, 0.95, 0.99)(inferences.duration) AS duration,
    quantilesTDigestState(0.5, 0.95, 0.99)(inferences.time_to_first_token) AS time_to_first_token,
    quantilesTDigestState(0.5, 0.95, 0.99)(inferences.time_per_output_token) AS time_per_output_token
FROM inferences
GROUP BY minute, environment, model, model_version, service, team, prompt_name, prompt_version;

-- Type, number and place of what was found; never the value.
CREATE TABLE IF NOT EXISTS pii_hits
(
    event_id UUID,
    started_at DateTime64(6, 'UTC'),
    environment LowCardinality(String),
    model LowCardinality(String),
    team LowCardinality(String),
    entity_type LowCardinality(String),
    place LowCardinality(String),
    hits UInt32
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (environment, model, started_at)
TTL toDateTime(started_at) + INTERVAL 400 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS pii_hits_from_inferences TO pii_hits AS
SELECT event_id, started_at, environment, model, team,
    hit.1 AS entity_type, hit.2 AS place, hit.3 AS hits
FROM inferences
ARRAY JOIN pii AS hit;

-- Embeddings of a sample of prompts, by the model that was asked and the one that embedded them.
CREATE TABLE IF NOT EXISTS embeddings
(
    event_id UUID,
    at DateTime64(6, 'UTC'),
    environment LowCardinality(String),
    model LowCardinality(String),
    embedding_model LowCardinality(String),
    vector Array(Float32) CODEC(ZSTD),
    written_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(written_at)
PARTITION BY toYYYYMM(at)
ORDER BY (environment, model, at, event_id)
TTL toDateTime(at) + INTERVAL 30 DAY;

-- What detectors found. An id is made from its cause, so a repeated write is the same row.
CREATE TABLE IF NOT EXISTS detections
(
    detection_id UUID,
    at DateTime64(6, 'UTC'),
    environment LowCardinality(String),
    model LowCardinality(String),
    signal LowCardinality(String),
    detector LowCardinality(String),
    statistic Float64,
    threshold Float64,
    p_value Nullable(Float64),
    window_events UInt32,
    baseline Nullable(Float64),
    observed Nullable(Float64),
    event_ids Array(UUID),
    written_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (environment, model, at, detection_id);

-- One row a transition of an alert: pending, firing, resolved.
CREATE TABLE IF NOT EXISTS alerts
(
    transition_id UUID,
    alert_id UUID,
    at DateTime64(6, 'UTC'),
    started_at DateTime64(6, 'UTC'),
    state LowCardinality(String),
    rule LowCardinality(String),
    severity LowCardinality(String),
    environment LowCardinality(String),
    model LowCardinality(String),
    signal LowCardinality(String),
    value Float64,
    threshold Float64,
    events UInt64,
    summary String,
    written_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (environment, model, at, transition_id);

CREATE TABLE IF NOT EXISTS retraining_runs
(
    run_id UUID,
    at DateTime64(6, 'UTC'),
    alert_id UUID,
    environment LowCardinality(String),
    model LowCardinality(String),
    reason String,
    status LowCardinality(String),
    dataset String,
    rows UInt64,
    written_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (environment, model, at, run_id);

-- Snapshots of detectors and alert rules, each with the offset, by topic, that it belongs to.
CREATE TABLE IF NOT EXISTS state
(
    component LowCardinality(String),
    partition UInt32,
    offsets Map(LowCardinality(String), Int64),
    snapshot String CODEC(ZSTD(3)),
    saved_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(saved_at)
ORDER BY (component, partition);
