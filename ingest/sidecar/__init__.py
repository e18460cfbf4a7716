"""A reverse proxy in front of Triton that mirrors what passes.

The way of a request, one file each: `listener` takes a connection and `pipe` passes its bytes on; `http_watch` with
`framing`, and `grpc_watch` with `h2_frames`, find where messages begin and end; `recorder` keeps what a `tap` is told
as an `exchange`; `parse_queue` takes it off the event loop; `parse` makes an event of it, which the mirror sends.
"""
