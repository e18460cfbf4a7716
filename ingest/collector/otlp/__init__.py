"""OTLP: spans of model calls to inferences.

`requests` decodes what came, `span` tells model calls from other spans and makes an event of one, by the names in
`names`; `messages` finds the conversation wherever a package put it. `ways` and `grpc_server` are the two ports' sides.
"""
