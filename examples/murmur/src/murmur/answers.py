"""What goes in and out: bounded JSON bodies, checked fields, and problems as JSON."""

import json
import re
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

BODY_BYTES = 64 * 1024
LIST_ITEMS = 200

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class Problem(Exception):
    """Something the caller can mend: a status, a code for programs and a sentence for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def problem_answer(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Problem)
    content = {"error": {"code": problem.code, "message": str(problem)}}
    return JSONResponse(content, status_code=problem.status)


def http_answer(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "http")
    content = {"error": {"code": code, "message": error.detail}}
    return JSONResponse(content, status_code=error.status_code, headers=error.headers)


EXCEPTION_HANDLERS = {Problem: problem_answer, HTTPException: http_answer}


async def read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body, ``{}`` for an empty body."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise Problem(413, "too_large", f"The body may have {BODY_BYTES} bytes.")
    if not body:
        return {}
    try:
        value = json.loads(body)
        body_text = json.dumps(value, ensure_ascii=False)
        body_text.encode()  # half a surrogate pair is JSON, but no text
    except (ValueError, RecursionError):
        raise Problem(400, "not_json", "The body is not JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise Problem(400, "not_json", f"Expected a JSON object, got {type(value).__name__}.")
    return value


def text_field(body: dict[str, Any], name: str, longest: int) -> str:
    """Return ``body[name]``, a text of 1 to ``longest`` characters."""
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Problem(422, "bad_field", f"`{name}` must be a text that is not empty.")
    if len(value) > longest:
        raise Problem(
            422, "bad_field", f"`{name}` may have {longest} characters, got {len(value)}."
        )
    return value


def optional_text_field(body: dict[str, Any], name: str, longest: int) -> str | None:
    """Return ``body[name]`` as `text_field` does, or None where it is absent or null."""
    return None if body.get(name) is None else text_field(body, name, longest)


def texts_field(body: dict[str, Any], name: str) -> list[str]:
    """Return ``body[name]``, a list of 1 to `LIST_ITEMS` texts."""
    value = body.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise Problem(422, "bad_field", f"`{name}` must be a list of texts that is not empty.")
    if len(value) > LIST_ITEMS:
        raise Problem(422, "bad_field", f"`{name}` may have {LIST_ITEMS} items, got {len(value)}.")
    return value


def name_in_path(request: Request, key: str) -> str:
    """Return the name of a listener in the path: small letters, digits and hyphens."""
    value: str = request.path_params[key]
    if not NAME.fullmatch(value):
        raise Problem(
            422, "bad_name", f"Expected small letters, digits and hyphens, got {value!r}."
        )
    return value
