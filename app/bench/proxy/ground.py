"""A sidecar between a fast upstream and a real broker, and nginx beside it where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.bench.bed import Bed, bed
from app.bench.proxy import nginx
from app.bench.result import Say
from app.local.ports import free_ports
from app.local.probes import accepts_tcp, answers_http


@dataclass(frozen=True, slots=True)
class Ground:
    """Ports of what is measured; `sidecar_pid` is its process. `nginx` is None where it is not installed."""

    bed: Bed
    upstream_http: int
    upstream_grpc: int
    sidecar_http: int
    sidecar_grpc: int
    sidecar_admin: int
    sidecar_pid: int
    nginx: int | None


@contextmanager
def ground(say: Say, *, compare: bool = True) -> Iterator[Ground]:
    """Start everything; stop it at the end."""
    with bed(say, store=False) as below:
        http, grpc, side_http, side_grpc, admin, nginx_port = free_ports(6)
        below.start("upstream", "-m", "app.bench.proxy.upstream", str(http), str(grpc), ready=accepts_tcp(grpc))
        pid = below.start(
            "sidecar",
            *("-m", "app.cli", "sidecar"),
            ready=answers_http(f"http://127.0.0.1:{admin}/readyz"),
            INFERWATCH_TRITON_HTTP=f"127.0.0.1:{http}",
            INFERWATCH_TRITON_GRPC=f"127.0.0.1:{grpc}",
            INFERWATCH_SIDECAR_HTTP_PORT=str(side_http),
            INFERWATCH_SIDECAR_GRPC_PORT=str(side_grpc),
            INFERWATCH_SIDECAR_ADMIN_PORT=str(admin),
        )
        command = nginx.command(below.folder, http, nginx_port) if compare else None
        if command is not None:
            below.start_program("nginx", *command, ready=accepts_tcp(nginx_port))
        yield Ground(below, http, grpc, side_http, side_grpc, admin, pid, nginx_port if command else None)
