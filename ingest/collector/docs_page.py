"""The OpenAPI document as a page of its own: no script, nothing fetched from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any, Final

import msgspec

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
code, pre { font: 0.9em ui-monospace, monospace; }
h2 { border-top: 1px solid #8886; margin-top: 2rem; padding-top: 1rem; }
h2 code { background: #76b90033; border-radius: 4px; padding: 0.1em 0.4em; }
table { border-collapse: collapse; width: 100%; }
td, th { border-bottom: 1px solid #8883; padding: 0.25rem 0.75rem 0.25rem 0; text-align: left; vertical-align: top; }
pre { white-space: pre-wrap; }
"""
_REF: Final = "#/components/schemas/"


def page(document: bytes) -> str:
    """Return the page of an OpenAPI document."""
    api = msgspec.json.decode(document)
    paths = "".join(_path(path, methods["post"]) for path, methods in api["paths"].items())
    schemas = "".join(_schema(name, schema) for name, schema in api["components"]["schemas"].items())
    title = escape(api["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><h1>{title}</h1>'
        f"<p>{escape(api['info']['description'])} Where keys are needed, send one as "
        "<code>Authorization: Bearer iw_…</code> or <code>x-api-key: iw_…</code>. "
        f'For programs: <a href="openapi.json">openapi.json</a>.</p>{paths}<h2>Types</h2>{schemas}</body></html>'
    )


def _path(path: str, operation: dict[str, Any]) -> str:
    bodies = "".join(
        f"<li><code>{escape(media_type)}</code>: {_type(content['schema'])}</li>"
        for media_type, content in operation["requestBody"]["content"].items()
    )
    answers = "".join(
        f"<tr><td>{status}</td><td>{_text(answer['description'])}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    return (
        f"<h2><code>POST {escape(path)}</code></h2><p>{_text(operation['summary'])}</p><ul>{bodies}</ul>"
        f"<table><tr><th>Status</th><th>Meaning</th></tr>{answers}</table>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{' (required)' if field in required else ''}</td>"
        f"<td>{_type(kind)}</td><td>{_text(kind.get('description', ''))}</td></tr>"
        for field, kind in schema.get("properties", {}).items()
    )
    about = f"<pre>{escape(schema['description'])}</pre>" if "description" in schema else ""
    table = f"<table>{rows}</table>" if rows else f"<p>{_type(schema)}</p>"
    return f'<h3 id="{escape(name)}">{escape(name)}</h3>{about}{table}'


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].removeprefix(_REF))
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema and "type" not in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("description") or schema.get("format") or schema.get("type") or "anything"))


def _text(text: str) -> str:
    """Return text with what stands between backquotes as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
