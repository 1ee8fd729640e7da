"""Errors as real servers send them: with the request in it, whole, cut, escaped, as a text in JSON, or in a page."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any

Echo = Callable[[dict[str, Any]], bytes]


def _sentence(text: str) -> bytes:
    return json.dumps({"error": {"message": text, "type": "BadRequestError", "code": 400}}).encode()


def _validation(request: dict[str, Any]) -> bytes:
    """As FastAPI and pydantic do: every wrong value as `input`, shortened in the middle in the message."""
    said = repr(request)
    message = f"1 validation error [type=extra_forbidden, input_value={said[:60]}...{said[-60:]}, input_type=dict]"
    return json.dumps({"detail": [{"loc": ["body"], "msg": message, "input": request}]}).encode()


ECHOES: dict[str, Echo] = {
    "json": lambda request: _sentence(f"unknown field in {json.dumps(request)}"),
    "repr": lambda request: _sentence(f"bad request: {request!r}"),
    "nested": lambda request: _sentence(f"bad request: {json.dumps(json.dumps(request))}"),
    "validation": _validation,
    "page": lambda request: f"<html><body><pre>{html.escape(json.dumps(request))}</pre></body></html>".encode(),
    "plain": lambda request: json.dumps(request, ensure_ascii=False).encode(),
}
