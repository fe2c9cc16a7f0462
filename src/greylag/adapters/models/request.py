"""A harness's request, read and judged before anything is decided about it.

What leaves is encoded again from what was judged, so no second reading (a name that stands twice, an odd escape) can
mean something else to the endpoint. Fields that the gateway doesn't know stay as they are.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from greylag.domain.errors import RequestRefused

BODY_BYTES = 8 * 1024 * 1024
_HEADER_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._,= -]{0,2047}")
_PASSED_HEADERS = ("anthropic-version", "anthropic-beta")
_BLOCKS = 200_000

# Tools that the harness itself carries out; every other type of tool is carried out by the endpoint's company.
_CLIENT_TOOLS = re.compile(r"custom|(bash|text_editor|computer|memory|tool_search_tool_(bm25|regex))_[0-9]{8}")
_SOURCES = frozenset({"base64", "text", "content"})
# Fields that make the endpoint reach out, keep things, run them elsewhere, or charge by another price list.
_REACHING = ("mcp_servers", "container", "inference_geo", "fallbacks")


class _Head(msgspec.Struct):
    """The fields the gateway must understand."""

    model: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,199}\Z")]
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
    messages: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1)]
    stream: bool = False
    tools: list[dict[str, Any]] | None = None
    thinking: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A request that may be decided about. ``fields`` is its JSON object, ``size_bytes`` its size as it came."""

    fields: Mapping[str, Any]
    model: str
    max_tokens: int
    thinking_tokens: int
    stream: bool
    size_bytes: int

    def sealed(self, max_tokens: int, pseudonym: str) -> bytes:
        """Return the exact body that would leave: ``max_tokens`` as given, device and account ids replaced."""
        fields = {**self.fields, "max_tokens": max_tokens}
        if "metadata" in fields:
            fields["metadata"] = {"user_id": pseudonym}
        return msgspec.json.encode(fields)


def read_request(body: bytes) -> Draft:
    """Return the draft in ``body``, an Anthropic Messages request.

    Raises RequestRefused ``GL-GATEWAY-004`` for what is not such a request, ``GL-GATEWAY-005`` for one that would make
    the endpoint fetch, keep or run something beyond answering.
    """
    try:
        fields = msgspec.json.decode(body)
        head = msgspec.convert(fields, _Head)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, UnicodeError) as error:
        raise _unreadable(str(error)[:300] or type(error).__name__) from error
    reach = next(_reaches(fields, head), None)
    if reach is not None:
        raise RequestRefused(
            "GL-GATEWAY-005",
            f"the request would make the endpoint reach beyond the answer: {reach}.",
            "use the sandbox's own tools instead.",
        )
    thinking = (head.thinking or {}).get("budget_tokens")
    return Draft(
        fields=fields, model=head.model, max_tokens=head.max_tokens, stream=head.stream, size_bytes=len(body),
        thinking_tokens=thinking if isinstance(thinking, int) else 0,
    )  # fmt: skip


def passed_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers that go on to the endpoint: an allow-list, and only harmless values."""
    passed: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in _PASSED_HEADERS and _HEADER_VALUE.fullmatch(value):
            passed[name] = f"{passed[name]},{value}" if name in passed else value
    return passed


def _reaches(fields: Mapping[str, Any], head: _Head) -> Iterator[str]:
    for name in _REACHING:
        if fields.get(name):
            yield f"the field `{name}`"
    if fields.get("speed") not in (None, "standard"):
        yield "the field `speed` (another price list)"
    for tool in head.tools or ():
        kind = tool.get("type")
        if kind is not None and not (isinstance(kind, str) and _CLIENT_TOOLS.fullmatch(kind)):
            yield f"the tool type {str(kind)[:64]!r}"
    for block in _blocks([fields.get("system"), *(message.get("content") for message in head.messages)]):
        source = block.get("source")
        if isinstance(source, dict) and source.get("type") not in _SOURCES:
            yield f"content by {str(source.get('type'))[:32]!r} reference"
        if block.get("type") == "container_upload":
            yield "a container upload"


def _blocks(contents: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield every content block, also those inside tool results and documents; never a tool's own input."""
    waiting, seen = [content for content in contents if isinstance(content, list)], 0
    while waiting:
        for block in waiting.pop():
            seen += 1
            if seen > _BLOCKS:
                raise _unreadable(f"more than {_BLOCKS} content blocks")
            if not isinstance(block, dict):
                raise _unreadable("a content block that is no object")
            yield block
            source = block.get("source")
            inner = [block.get("content"), source.get("content") if isinstance(source, dict) else None]
            waiting += [content for content in inner if isinstance(content, list)]


def _unreadable(why: str) -> RequestRefused:
    return RequestRefused(
        "GL-GATEWAY-004",
        f"the request is not an Anthropic Messages request: {why}.",
        "use a harness that speaks the Messages protocol.",
    )
