"""Kafka against rows against rollups: does every event that was mirrored stand in the store, once, and in every figure?

bounds ─► dead letters ─► records, range by range ─► rows of the same ranges ─► exact places where they differ
                                                     rows, hour by hour ─► rollups
"""
