"""Telemetry that comes over the network, put on Kafka for those who cannot reach it.

The way of a request, one file each: `http_api` and `otlp/grpc_server` take it; `caller` says whose it is; `admission`
whether there is room; `body` reads it; a decoder (`json_events`, `otlp/`, `cloudevents/`) makes a `batch` of records of
it; `intake` gives them to the `outlet` and answers once Kafka has acknowledged all of them. `ways` lists what decodes
which path, `collector` puts everything together.
"""
