"""ClickHouse: migrations, sink, queries, export, the embedded server."""
