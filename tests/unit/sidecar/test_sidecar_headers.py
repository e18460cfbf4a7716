"""Of what heads say, only what is read is kept, and exchanges that never were are passed on to nobody."""

from __future__ import annotations

from ingest.sidecar.budget import Budget, Keeping
from ingest.sidecar.exchange import Exchange
from ingest.sidecar.grpc_messages import GrpcMessage
from ingest.sidecar.h2_headers import Headers
from ingest.sidecar.headers import kept
from ingest.sidecar.http_head import Head
from ingest.sidecar.recorder import Recorder
from tests.unit.sidecar.grpc_calls import METHOD, SetClock

MANY = tuple((f"x-inferwatch-{number}", "v" * 100) for number in range(2_000))
READ = (("content-encoding", "gzip"), ("x-inferwatch-team", "ads"))


def recorder() -> tuple[Recorder, list[Exchange], Budget]:
    ended: list[Exchange] = []
    budget = Budget(1 << 20)
    return Recorder(ended.append, SetClock(), Keeping(1 << 20, budget)), ended, budget


def test_of_headers_the_last_of_each_that_is_read_is_kept_and_none_is_long() -> None:
    assert kept((("content-encoding", "br"), *MANY, *READ)) == dict(READ)
    assert kept((("x-inferwatch-user", "u" * 9_000),)) == {"x-inferwatch-user": "u" * 1_024}


def test_heads_are_kept_no_further_than_they_are_read() -> None:
    watcher, ended, _ = recorder()
    headers: Headers = (*MANY, *READ)
    over_http = watcher.http(0.0, Head(("POST", "/v2/models/m/infer", "HTTP/1.1"), headers))
    over_grpc = watcher.grpc(0.0, METHOD, headers)
    assert over_http is not None
    assert over_grpc is not None
    over_http.response_head(200, Head(("HTTP/1.1", "200", "OK"), headers))
    over_grpc.response_head(headers)
    over_http.end(1.0, "complete")
    over_grpc.end(1.0, "complete", "OK", "")
    for exchange in ended:
        assert (exchange.headers, exchange.response_headers) == (dict(READ), dict(READ))


def test_what_is_held_of_an_exchange_counts_what_its_head_said() -> None:
    watcher, ended, _ = recorder()
    for name in ("m", "m" * 5_000):
        observer = watcher.http(0.0, Head(("POST", f"/v2/models/{name}/infer", "HTTP/1.1"), READ))
        assert observer is not None
        observer.end(1.0, "complete")
    assert ended[1].held - ended[0].held == 4_999


def test_a_call_that_was_not_processed_gives_back_what_it_held_and_is_no_inference() -> None:
    for method in (METHOD, METHOD.replace("ModelInfer", "ModelStreamInfer")):
        watcher, ended, budget = recorder()
        observer = watcher.grpc(0.0, method, ())
        assert observer is not None
        observer.request(0.0, GrpcMessage(b"x" * 1_000, 1_000))
        assert not budget.take(1 << 20)
        observer.end(1.0, "unprocessed", "", "")
        assert ended == []
        assert budget.take(1 << 20)
