"""Recorded traffic, sent once more with the spacing it had.

The way of a line, one file each: `lines` reads it; `azure`, `mooncake` or `recorded`, whichever `formats` recognised,
makes an `arrival` of it; `order` puts arrivals in order and `window` keeps those asked for; `schedule` says when each
is due; `ahead` reads in a thread of its own; `pace` waits until it is time; `to_kafka` or `to_sidecar` sends; `tally`
counts, and `report` says what became of it. `run` puts all of this together.
"""
