-- What an erasure under way is about: ids of events, patterns to look for, and the key that makes replacements of ids.
-- Mutations name this table instead of values, for their text is kept on disk. A partition is dropped when its erasure
-- is complete, and with it the only key.
CREATE TABLE IF NOT EXISTS erasures
(
    erasure_id String,
    kind LowCardinality(String),
    event_id UUID,
    text String
)
ENGINE = MergeTree
PARTITION BY erasure_id
ORDER BY (kind, event_id);
