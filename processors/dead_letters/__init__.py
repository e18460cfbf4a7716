"""Dead letters: what could not be processed, in a topic of its own; written by steps, read and replayed by people."""

from processors.dead_letters.write import MOST_BYTES, dead_letter, read_or_bury

__all__ = ["MOST_BYTES", "dead_letter", "read_or_bury"]
