"""From alert transitions to messages that people read."""
