"""Run the embedded store by itself: `python -m storage.embedded --path DIR [--port N]`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from storage.embedded.errors import EmbeddedError
from storage.embedded.server import serve
from storage.embedded.settings import MIB, EmbeddedSettings

_MEGABYTES = {
    "max_memory": "max_memory_bytes",
    "max_upload": "max_upload_bytes",
    "spool_memory": "spool_memory_bytes",
}


def main() -> int:
    """Serve until SIGTERM; the first line on stdout is JSON with `url` and `pid`, once requests are answered."""
    defaults = EmbeddedSettings(path=Path())
    parser = argparse.ArgumentParser(prog="python -m storage.embedded", description=main.__doc__)
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--host", default=defaults.host)
    parser.add_argument("--port", type=int, default=defaults.port)
    parser.add_argument("--max-concurrent-queries", type=int, default=defaults.max_concurrent_queries)
    parser.add_argument("--max-waiting-requests", type=int, default=defaults.max_waiting_requests)
    for name, default in _MEGABYTES.items():
        parser.add_argument(f"--{name.replace('_', '-')}-mb", type=int, default=getattr(defaults, default) // MIB)
    parser.add_argument("--user", default=None)
    parser.add_argument("--password", default="")
    given = vars(parser.parse_args())
    sizes = {field: given.pop(f"{name}_mb") * MIB for name, field in _MEGABYTES.items()}
    settings = EmbeddedSettings(**given, **sizes)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        serve(settings, lambda url: print(json.dumps({"url": url, "pid": os.getpid()}), flush=True))  # noqa: T201 - the announcement
    except EmbeddedError as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
