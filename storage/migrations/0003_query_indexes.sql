-- Chosen by `inferwatch bench codecs`: ids in hexadecimal halve under ZSTD at no cost that shows; counts fit into fewer
-- bits; text costs a third less to write under level 1 than under 3, and every merge writes it again. Nothing helps
-- against measured seconds, so those keep the default.
ALTER TABLE inferences
    MODIFY COLUMN user CODEC(ZSTD(1)),
    MODIFY COLUMN trace_id CODEC(ZSTD(1)),
    MODIFY COLUMN span_id CODEC(ZSTD(1)),
    MODIFY COLUMN parent_span_id CODEC(ZSTD(1)),
    MODIFY COLUMN conversation_id CODEC(ZSTD(1)),
    MODIFY COLUMN response_id CODEC(ZSTD(1)),
    MODIFY COLUMN source_offset CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN input_tokens CODEC(T64, LZ4),
    MODIFY COLUMN output_tokens CODEC(T64, LZ4),
    MODIFY COLUMN cache_read_tokens CODEC(T64, LZ4),
    MODIFY COLUMN cache_creation_tokens CODEC(T64, LZ4),
    MODIFY COLUMN reasoning_tokens CODEC(T64, LZ4),
    MODIFY COLUMN cost CODEC(T64, LZ4),
    MODIFY COLUMN input_characters CODEC(T64, LZ4),
    MODIFY COLUMN output_characters CODEC(T64, LZ4),
    MODIFY COLUMN input_messages CODEC(ZSTD(1)),
    MODIFY COLUMN output_messages CODEC(ZSTD(1)),
    MODIFY COLUMN pii CODEC(ZSTD(1)),
    MODIFY COLUMN attributes CODEC(ZSTD(1));

-- Words of the texts and of the error, in lower case, row by row, without the names that JSON has beside them. Line breaks
-- and backslashes stand in JSON as two characters, of which the second would become part of the next word. Queries have
-- the same expression, word for word (`storage/queries/text.py`).
ALTER TABLE inferences ADD INDEX IF NOT EXISTS words
    replaceAll(replaceAll(replaceRegexpAll(lowerUTF8(concat(input_messages, ' ', output_messages, ' ', error_message)),
        '"(?:role|type|finish_reason)": ?"[a-z_]+"|"[a-z_]+":', ' '), '\\\\', '  '), '\\n', '  ')
    TYPE text(tokenizer = splitByNonAlpha);

-- One user's, or one conversation's, rows are few and lie anywhere.
ALTER TABLE inferences ADD INDEX IF NOT EXISTS by_user user TYPE text(tokenizer = array);
ALTER TABLE inferences ADD INDEX IF NOT EXISTS by_conversation_id conversation_id TYPE bloom_filter(0.01) GRANULARITY 1;

-- Long ranges are answered from whole days; a series of hours, and whatever is about one label, from hours of that
-- label alone: what takes time is merging digests, so there must be few.
ALTER TABLE metrics_1h MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';
ALTER TABLE metrics_1h ADD PROJECTION IF NOT EXISTS by_day
(
    SELECT
        toStartOfDay(bucket), ingested_on, environment, model, model_version, service, team, prompt_name, prompt_version,
        sum(requests), sum(errors), sum(cancelled), sum(input_tokens), sum(output_tokens), sum(cost),
        sum(requests_without_cost), sum(requests_with_pii),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(duration),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(time_to_first_token),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(time_per_output_token)
    GROUP BY
        toStartOfDay(bucket), ingested_on, environment, model, model_version, service, team, prompt_name, prompt_version
);
ALTER TABLE metrics_1h ADD PROJECTION IF NOT EXISTS by_hour
(
    SELECT
        bucket, ingested_on, environment,
        sum(requests), sum(errors), sum(cancelled), sum(input_tokens), sum(output_tokens), sum(cost),
        sum(requests_without_cost), sum(requests_with_pii),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(duration),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(time_to_first_token),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(time_per_output_token)
    GROUP BY bucket, ingested_on, environment
);
ALTER TABLE metrics_1h ADD PROJECTION IF NOT EXISTS by_hour_and_model
(
    SELECT
        bucket, ingested_on, environment, model, model_version,
        sum(requests), sum(errors), sum(cancelled), sum(input_tokens), sum(output_tokens), sum(cost),
        sum(requests_without_cost), sum(requests_with_pii),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(duration),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(time_to_first_token),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(time_per_output_token)
    GROUP BY bucket, ingested_on, environment, model, model_version
);
ALTER TABLE metrics_1h ADD PROJECTION IF NOT EXISTS by_hour_and_team
(
    SELECT
        bucket, ingested_on, environment, team, service,
        sum(requests), sum(errors), sum(cancelled), sum(input_tokens), sum(output_tokens), sum(cost),
        sum(requests_without_cost), sum(requests_with_pii),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(duration),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(time_to_first_token),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(time_per_output_token)
    GROUP BY bucket, ingested_on, environment, team, service
);
ALTER TABLE metrics_1h ADD PROJECTION IF NOT EXISTS by_hour_and_prompt
(
    SELECT
        bucket, ingested_on, environment, prompt_name, prompt_version,
        sum(requests), sum(errors), sum(cancelled), sum(input_tokens), sum(output_tokens), sum(cost),
        sum(requests_without_cost), sum(requests_with_pii),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(duration),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(time_to_first_token),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(time_per_output_token)
    GROUP BY bucket, ingested_on, environment, prompt_name, prompt_version
);
ALTER TABLE metrics_1h ADD PROJECTION IF NOT EXISTS by_hour_and_status
(
    SELECT
        bucket, ingested_on, environment, source, status,
        sum(requests), sum(errors), sum(cancelled), sum(input_tokens), sum(output_tokens), sum(cost),
        sum(requests_without_cost), sum(requests_with_pii),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(duration),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(time_to_first_token),
        quantilesTDigestMergeState(0.5, 0.95, 0.99)(time_per_output_token)
    GROUP BY bucket, ingested_on, environment, source, status
);
