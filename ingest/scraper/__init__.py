"""Watches model servers by what they say of themselves: metrics and statistics of Triton, as samples in Kafka.

Open the files in this order: `scraper` asks each server through `fetch`; `exposition` and `statistics` make
`readings` of what it answers; `watched` remembers what it said last, `increases` tells what was added since; `samples`
makes events of that, and `outbox` sees them to Kafka. `readiness` and `metrics` tell how it goes.
"""
