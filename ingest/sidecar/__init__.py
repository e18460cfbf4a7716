"""A reverse proxy in front of Triton that mirrors what passes.

The way of a request, one file each: `http_proxy` or `grpc_proxy` passes its bytes on; `http_watch` and `framing` find
where messages begin and end; `recorder` keeps what a `tap` is told as an `exchange`; `parse_queue` takes it off the
event loop; `parse` makes an event of it, which the mirror sends.
"""
