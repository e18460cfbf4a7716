"""Change detectors, windows and text scanners: pure mathematics, no input or output, no clock, no global state.

Import from the module that has the thing: ``from detectors.embedding import EmbeddingDrift``.
"""
