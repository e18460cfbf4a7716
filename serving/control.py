"""Which models Triton serves, and loading and unloading them, through its model repository API.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal, TypeVar, cast, get_args

import grpc
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from serving.errors import ControlFailed, TritonUnreachable

State = Literal["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]
UNREACHABLE = frozenset({"StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.CANCELLED"})
CHANGING = frozenset({"LOADING", "UNLOADING"})
# How often Triton is asked whether a change is done, in seconds.
SETTLE_CHECK = 0.05

T = TypeVar("T")


@dataclass(frozen=True)
class ModelState:
    """One line of Triton's repository index.

    Attributes:
        model: its name.
        version: its version; empty for a model that was never loaded.
        state: where it stands; UNAVAILABLE also for a model that was never loaded.
        reason: why it is not ready, in Triton's words; empty if it is.
    """

    model: str
    version: str
    state: State
    reason: str

    @property
    def ready(self) -> bool:
        """Whether this version answers requests."""
        return self.state == "READY"


class TritonControl:
    """Model control over gRPC; Triton must run with explicit model control.

    Args:
        url: host and gRPC port of Triton, without scheme; nothing connects before the first call.
        timeout: seconds for a question.
        load_timeout: seconds for loading or unloading a model.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, load_timeout: float = 120.0) -> None:
        self._url, self._timeout, self._load_timeout = url, timeout, load_timeout
        self._client: InferenceServerClient | None = None

    async def load(self, model: str) -> tuple[ModelState, ...]:
        """Loads a model, or reads it again with new versions, and returns its versions once they answer.

        A version that runs goes on answering until its successor is ready, and is gone on return. Loading twice does
        no harm.

        Raises:
            ControlFailed: Triton cannot load it, and an older version that ran goes on; or it is not settled in time.
            TritonUnreachable: Triton does not answer in time.
        """
        await self._ask("load", model, self._connected().load_model(model, client_timeout=self._load_timeout))
        return await self._settled("load", model)

    async def unload(self, model: str) -> None:
        """Unloads a model and returns once it is gone; requests it has begun are answered first.

        Unloading a model that is not loaded does no harm.

        Raises:
            ControlFailed: Triton refused, or the model is still there after the time for it.
            TritonUnreachable: Triton does not answer in time.
        """
        await self._ask("unload", model, self._connected().unload_model(model, client_timeout=self._load_timeout))
        await self._settled("unload", model)

    async def index(self) -> tuple[ModelState, ...]:
        """Every version of every model in the repository, by name and version.

        Raises:
            TritonUnreachable: Triton does not answer in time.
        """
        found = await self._ask("list", "*", self._connected().get_model_repository_index(client_timeout=self._timeout))
        states = (ModelState(entry.name, entry.version, _state(entry.state), entry.reason) for entry in found.models)
        return tuple(sorted(states, key=lambda state: (state.model, state.version)))

    async def ready(self, model: str) -> bool:
        """Whether some version of the model answers requests; False for a model that does not exist.

        Raises:
            TritonUnreachable: Triton does not answer in time.
        """
        call = self._connected().is_model_ready(model, client_timeout=self._timeout)
        return bool(await self._ask("see", model, call))

    async def close(self) -> None:
        """Closes the connection; may be called twice."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _settled(self, action: str, model: str) -> tuple[ModelState, ...]:
        """The model's versions, once none is loading or unloading; Triton answers before it is done."""
        try:
            async with asyncio.timeout(self._load_timeout):
                while any(state.state in CHANGING for state in await self._versions(model)):
                    await asyncio.sleep(SETTLE_CHECK)
                return await self._versions(model)
        except TimeoutError as error:
            reason = f"a version is still loading or unloading after {self._load_timeout:g} s"
            raise ControlFailed(action, model, self._url, reason) from error

    async def _versions(self, model: str) -> tuple[ModelState, ...]:
        return tuple(state for state in await self.index() if state.model == model)

    def _connected(self) -> InferenceServerClient:
        if self._client is None:
            self._client = InferenceServerClient(self._url)
        return self._client

    async def _ask(self, action: str, model: str, call: Awaitable[T]) -> T:
        try:
            return await call
        except InferenceServerException as error:
            if error.status() in UNREACHABLE:
                raise TritonUnreachable(self._url, error.message()) from error
            raise ControlFailed(action, model, self._url, error.message()) from error
        except grpc.RpcError as error:
            raise TritonUnreachable(self._url, str(error)) from error


def _state(found: str) -> State:
    # Triton leaves the state empty for models that were never loaded.
    return cast(State, found) if found in get_args(State) else "UNAVAILABLE"
