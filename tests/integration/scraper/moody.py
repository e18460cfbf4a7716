"""A real Triton with a model that does as it is told: it computes for some seconds, or fails."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from serving import TritonSettings, prepare
from serving.launch import clear_shared_memory
from tests.support.triton import fitting_environment, free_ports, stop
from tests.support.waiting import wait_for

CONFIG = """
name: "moody"
backend: "python"
max_batch_size: 1
input [ { name: "seconds" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "done" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching {
  default_queue_policy { default_timeout_microseconds: 60000000 timeout_action: REJECT allow_timeout_override: true }
}
"""
MODEL = """
import os
import time
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def initialize(self, args):
        self._marker = os.path.join(args["model_repository"], args["model_version"], "computing")

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        seconds = float(pb.get_input_tensor_by_name(request, "seconds").as_numpy().ravel()[0])
        if seconds < 0:
            raise RuntimeError("told to fail")
        open(self._marker, "w").close()
        time.sleep(seconds)
        return pb.InferenceResponse([pb.Tensor("done", np.array([[seconds]], dtype=np.float32))])
"""


class MoodyTriton:
    """One Triton, which can be started again on the same ports. `more` are arguments beside those of `serving`."""

    def __init__(self, folder: Path, *more: str) -> None:
        self._folder = folder
        self._more = more
        repository = folder / "repository"
        version = repository / "moody" / "1"
        version.mkdir(parents=True)
        (version / "model.py").write_text(MODEL)
        (version.parent / "config.pbtxt").write_text(CONFIG)
        # Triton is started on a copy of the repository.
        self._marker = folder / "work" / "models" / "moody" / "1" / "computing"
        http, grpc, metrics = free_ports(3)
        self.settings = TritonSettings(
            work_dir=folder / "work",
            http_port=http,
            grpc_port=grpc,
            metrics_port=metrics,
            models=("moody",),
            repository=repository,
            environment=fitting_environment(folder),
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.settings.http_port}"

    @property
    def metrics(self) -> str:
        return f"127.0.0.1:{self.settings.metrics_port}"

    def start(self) -> None:
        """Start and wait until the model can be asked."""
        launch = prepare(self.settings)
        with (self._folder / "triton.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*launch.argv, *self._more],
                env=launch.env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(self._ready, "Triton")

    def stop(self) -> None:
        """Stop; nothing of it is left."""
        if self._process is not None:
            stop(self._process)
            clear_shared_memory(self.settings)
            self._process = None

    @property
    def has_computed(self) -> bool:
        """Whether the model has begun to compute since it was asked to `forget`."""
        return self._marker.exists()

    def forget(self) -> None:
        """Let `has_computed` begin anew."""
        self._marker.unlink(missing_ok=True)

    def infer(self, seconds: float, patience: float = 0.0) -> int:
        """Ask the model to compute that long, or to fail where it is below 0; return the HTTP status.

        Where `patience` is not 0, the request is rejected if it waits for longer.
        """
        tensor = {"name": "seconds", "shape": [1, 1], "datatype": "FP32", "data": [seconds]}
        parameters = {"timeout": round(patience * 1e6)} if patience else {}
        return self.post("v2/models/moody/infer", {"inputs": [tensor], "parameters": parameters})

    def post(self, path: str, body: Any) -> int:
        """POST JSON; return the HTTP status."""
        request = urllib.request.Request(f"http://{self.http}/{path}", json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def statistics(self) -> dict[str, Any]:
        """What Triton itself counts of the model, in all its versions."""
        with urllib.request.urlopen(f"http://{self.http}/v2/models/moody/stats", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)["model_stats"][0]
            return found

    def _ready(self) -> bool:
        """Tell whether the model can be asked and the metrics are told, which begins a little later."""
        refused = contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError)
        with (
            refused,
            urllib.request.urlopen(f"http://{self.http}/v2/models/moody/ready", timeout=2),
            urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=2),
        ):
            return True
        return False
