"""A proxy before the real store, on which one statement at a time meets what networks and servers do to statements."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, Final, Literal
from urllib.parse import unquote_plus, urlsplit

from tests.support.waiting import DEADLINE

Kind = Literal["held before", "cut", "answer held", "answer too late", "answer lost", "refused"]
"""What happens to a statement.

held before: the store gets it when the fault is released, whatever became of the client meanwhile.
cut: the store gets half of it; both connections end when the fault is released.
answer held: the store has done it; the client is told when the fault is released.
answer too late: the store has done it; the client is told nothing until it gives up.
answer lost: the store has done it; the connection to the client ends instead of an answer.
refused: 503, as from a gateway that has nobody behind it.
"""

_UNAVAILABLE: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(eq=False)
class Fault:
    """A fault that waits for a statement into `table`, once. `reached` and `over` tell how far it is."""

    kind: Kind
    table: str
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def wait_reached(self) -> None:
        """Wait until it has a statement."""
        assert self.reached.wait(DEADLINE), f"no insert into {self.table} within {DEADLINE:g} s"

    def release(self) -> None:
        """Let what it holds go on."""
        self.released.set()

    def wait_over(self) -> None:
        """Wait until its statement is done with."""
        assert self.over.wait(DEADLINE), f"the insert that was {self.kind} is not over within {DEADLINE:g} s"


class FaultyStore:
    """Passes HTTP on to a store, statement by statement."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 0)
        self._listener: socket.socket | None = None
        self._port = 0
        self._open: set[socket.socket] = set()
        self._faults: list[Fault] = []
        self._planned: list[Fault] = []
        self._changing = threading.Lock()
        self.down = False
        """While true, every request is answered 503."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def plan(self, kind: Kind, table: str = "inferences") -> Fault:
        """Let the next insert into a table that no earlier plan takes meet a fault."""
        fault = Fault(kind, table)
        with self._changing:
            self._faults.append(fault)
            self._planned.append(fault)
        return fault

    def drop(self, fault: Fault) -> None:
        """Take a plan back; a statement that it has goes on."""
        with self._changing:
            if fault in self._faults:
                self._faults.remove(fault)
        fault.release()

    def come_back(self) -> None:
        """Be there again after `refuse` or `down`."""
        self.down = False
        if self._listener is None:
            self.listen()

    def listen(self) -> None:
        """Take connections, on the port of before."""
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=64)
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Take no connections, and end those there are."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._changing:
            going, self._open = self._open, set()
        for connection in going:
            _end(connection)

    def release_all(self) -> None:
        """Let everything go on."""
        for fault in self._planned:
            fault.release()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        store = None
        try:
            with client.makefile("rb") as asked:
                while request := _read_message(asked):
                    fault = self._fault_of(request)
                    if self.down or (fault is not None and fault.kind == "refused"):
                        client.sendall(_UNAVAILABLE)
                        _note(fault)
                        return
                    if store is None:
                        store = socket.create_connection(self._upstream)
                        with self._changing:
                            self._open |= {client, store}
                    if not self._exchange(client, store, request, fault):
                        return
        except OSError:
            return
        finally:
            with self._changing:
                self._open -= {client, *([store] if store else [])}
            for connection in (client, store):
                if connection is not None:
                    _end(connection)

    def _exchange(self, client: socket.socket, store: socket.socket, request: bytes, fault: Fault | None) -> bool:
        """Pass one request and its answer on; return whether the connections may go on."""
        kind = fault.kind if fault is not None else None
        try:
            if kind == "cut":
                store.sendall(request[: -len(request) // 3])
                _hold(fault)
                return False
            if kind == "held before":
                _hold(fault)
            store.sendall(request)
            with store.makefile("rb") as told:
                answer = _read_message(told)
            if kind == "answer held":
                _hold(fault)
            if kind == "answer too late":
                # Readable again: the client has closed it, for it has nothing to say before it is answered.
                select.select([client], [], [])
            if not answer or kind in ("answer lost", "answer too late"):
                return False
            client.sendall(answer)
            return True
        finally:
            _note(fault)

    def _fault_of(self, request: bytes) -> Fault | None:
        text = unquote_plus(request[:16384].decode("latin-1"))
        with self._changing:
            for fault in self._faults:
                if f"INSERT INTO {fault.table} " in text or f"INSERT INTO `{fault.table}` " in text:
                    self._faults.remove(fault)
                    return fault
        return None


@contextmanager
def faulty_store(upstream: str) -> Iterator[FaultyStore]:
    """A proxy before the store at `upstream`."""
    proxy = FaultyStore(upstream)
    proxy.listen()
    try:
        yield proxy
    finally:
        proxy.release_all()
        proxy.refuse()


def _hold(fault: Fault | None) -> None:
    assert fault is not None
    fault.reached.set()
    fault.released.wait()


def _note(fault: Fault | None) -> None:
    if fault is not None:
        fault.reached.set()
        fault.over.set()


def _read_message(stream: BinaryIO) -> bytes:
    """Return a request or an answer as it came, or nothing at the end of the connection."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return b""
        head += line
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:-2])
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return head + _chunks(stream)
    return head + stream.read(int(fields.get(b"content-length", b"0")))


def _chunks(stream: BinaryIO) -> bytes:
    parts = []
    while True:
        size = stream.readline()
        chunk = stream.read(int(size.split(b";")[0], 16) + 2)
        parts += [size, chunk]
        if chunk == b"\r\n":
            return b"".join(parts)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
