"""Requests and responses of models, as KServe's logger sends them, joined to inferences.

`http` reads CloudEvents; each becomes a `half` in a Kafka topic, keyed by what request and response share, and is
acknowledged there before its sender is answered. `joiner` reads that topic: whichever collector owns the partition sees
both halves. `join` decides, as a pure state machine; `inference` makes an event of what it joined.
"""
