"""The demo: real prompts, three incidents, and a report that compares what was sent with what is stored."""
