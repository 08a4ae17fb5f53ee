"""Files of conversations, one JSON object a line: what `batch`, `bench` and `train-draft` read.

A line is `{"turns": [text, ...]}` (MT-Bench), `{"prompt": text}`, `{"messages": [{"role", "content"}, ...]}`, or a
request of OpenAI's batch format, whose `body` holds the messages. `content` is a text or a list of parts, which stand
behind each other without anything between them.
"""

from __future__ import annotations

import gzip
import json
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from specmemo_chat.errors import UsageError
from specmemo_chat.sizes import format_size
from specmemo_chat.texts import LARGEST, check_encoding, check_unicode

Message = dict[str, str]

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_IDS = ("question_id", "id", "custom_id")
_FORMS = ("turns", "prompt", "messages")
_TEXT_PARTS = ("text", "input_text", "output_text")
# Of a request's body: what it may say about the reply, and what changes nothing here.
_SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_new_tokens",
    "max_completion_tokens": "max_new_tokens",
    "stop": "stop",
}
_WITHOUT_EFFECT = ("messages", "seed", "model", "user", "metadata", "store", "service_tier", "safety_identifier",
                   "tool_choice", "parallel_tool_calls")  # fmt: skip
# Further keys of a body are taken where they ask for nothing.
_NOTHING: tuple[Any, ...] = (None, False, 0, [], {}, ["text"], {"type": "text"})
_ENDPOINT = "/v1/chat/completions"


@dataclass(frozen=True)
class ChatLine:
    """One conversation: its line from 1 on, its id under the id's name (else the line's), and either user messages to
    be answered in turn (`turns`) or `messages` of system, user and assistant. `seed` and `sampling` (names and types of
    GenerationSettings, ranges unchecked) are those of this line alone."""

    number: int
    key: dict[str, Any]
    turns: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    seed: int | None = None
    sampling: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BrokenLine:
    """A line that holds no conversation; `error` says why and names the line."""

    number: int
    key: dict[str, Any]
    error: str


def read_conversations(path: Path) -> Iterator[ChatLine | BrokenLine]:
    """The lines of a file, plain or gzipped, in order; blank ones are passed over. Raises UsageError where the file
    cannot be read or is UTF-16."""
    try:
        with path.open("rb") as file:
            unzipped = gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == b"\x1f\x8b" else file
            check_encoding(unzipped.peek(4)[:4], str(path))
            for number, line, size in _lines(cast(BinaryIO, unzipped)):
                if size > LARGEST:
                    what = f"line {number} has {format_size(size)}; {format_size(LARGEST)} is the most"
                    yield BrokenLine(number, {"line": number}, what)
                elif line.strip():
                    yield _conversation(number, line)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be read: {reason}", "give a JSONL file, one conversation a line") from error


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes, int]]:
    """Number, text and bytes of each line, without a byte order mark (joined files have one inside); of a line above
    LARGEST only the beginning."""
    number = 0
    while line := file.readline(LARGEST + 1):
        number, size, piece = number + 1, len(line), line
        while size > LARGEST and not piece.endswith(b"\n") and (piece := file.readline(LARGEST)):
            size += len(piece)
        yield number, line.removeprefix(BOM_UTF8), size


def _conversation(number: int, line: bytes) -> ChatLine | BrokenLine:
    key: dict[str, Any] = {"line": number}
    try:
        values = json.loads(line.rstrip(b"\r\n").decode("utf-8"))
    except UnicodeDecodeError as error:
        return BrokenLine(number, key, f"line {number} is not UTF-8 at byte {error.start}")
    except json.JSONDecodeError as error:
        return BrokenLine(
            number, key, f"line {number} is not JSON: {error.msg.removesuffix(' at')} at column {error.colno}"
        )
    except (ValueError, RecursionError) as error:
        return BrokenLine(number, key, f"line {number} is not JSON that can be read: {error}")
    if not isinstance(values, dict):
        return BrokenLine(number, key, f"line {number} is not a JSON object")
    key = next(({name: values[name]} for name in _IDS if name in values), key)
    try:
        return _parse(number, key, values)
    except UsageError as error:
        return BrokenLine(number, key, f"line {number}: {error.message}")


def _parse(number: int, key: dict[str, Any], values: dict[str, Any]) -> ChatLine:
    sampling: dict[str, Any] = {}
    if "body" in values and values.keys().isdisjoint(_FORMS):
        values = _body(values)
        sampling = {_SAMPLING[name]: _setting(name, values[name]) for name in _SAMPLING if values.get(name) is not None}
    seed = values.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63):
        raise UsageError('"seed" is not a whole number from 0 to 2^63 - 1')
    # What `sessions export` writes has its tree under "turns", and what was said under "messages".
    if "turns" in values and not {"schema", "messages"} <= values.keys():
        turns = values["turns"]
        if not isinstance(turns, list) or not turns:
            raise UsageError('"turns" is not a list with texts: it has no message of the user')
        return ChatLine(
            number, key, tuple(_asked(text, f'text {at} of "turns"') for at, text in _counted(turns)), seed=seed
        )
    if "prompt" in values:
        return ChatLine(number, key, (_asked(values["prompt"], '"prompt"'),), seed=seed)
    if "messages" not in values:
        raise UsageError('it has none of "turns", "prompt" and "messages"')
    messages = values["messages"]
    if not isinstance(messages, list) or not messages:
        raise UsageError('"messages" is not a list with messages')
    read = tuple(_message(f"message {at}", message) for at, message in _counted(messages))
    return ChatLine(number, key, messages=read, seed=seed, sampling=sampling)


def _counted(values: list[Any]) -> Iterator[tuple[int, Any]]:
    return enumerate(values, start=1)


def _body(values: dict[str, Any]) -> dict[str, Any]:
    """The request that a line of OpenAI's batch format makes. Raises UsageError for what cannot be done."""
    body, url = values["body"], values.get("url", _ENDPOINT)
    if url != _ENDPOINT:
        raise UsageError(f'"url" is {_shown(url)}: only {_ENDPOINT} can be answered')
    if not isinstance(body, dict):
        raise UsageError('"body" is not a JSON object')
    if "messages" not in body:
        raise UsageError('"body" has no "messages"')
    if body.get("n") not in (None, 1):
        raise UsageError(f'"n" is {_shown(body["n"])}: a conversation has one reply')
    if {"max_tokens", "max_completion_tokens"} <= body.keys():
        raise UsageError('"max_tokens" and "max_completion_tokens" are both given')
    for name, value in body.items():
        if name not in (*_SAMPLING, *_WITHOUT_EFFECT, "n") and value not in _NOTHING:
            raise UsageError(f'"body" asks for {_shown(name)}, which cannot be done here')
    return body


def _setting(name: str, value: Any) -> Any:
    """A sampling setting of its type; whether it is in range its user must check. Raises UsageError."""
    if name == "stop":
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            return tuple(texts)
    elif name in ("temperature", "top_p"):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
    elif isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise UsageError(f'"{name}" is {_shown(value)}')


def _message(where: str, message: Any) -> Message:
    if not isinstance(message, dict):
        raise UsageError(f"{where} is not an object with role and content")
    role = message.get("role")
    if role in ("tool", "function"):
        raise UsageError(f"{where} is the result of a tool (role {role!r}), and tools are not supported")
    if not isinstance(role, str) or role not in ROLES:
        what = "has no role" if "role" not in message else f"has the role {_shown(role)}, which is not known"
        raise UsageError(f"{where} {what}: roles are {', '.join(ROLES)}")
    if message.get("tool_calls") or message.get("function_call"):
        raise UsageError(f"{where} calls a tool, and tools are not supported")
    if message.get("content") is None:
        null = '"content" is null' if "content" in message else '"content" is missing'
        raise UsageError(f'{where} has no text in "content": {null}')
    return {"role": ROLES[role], "content": _content(where, message["content"])}


def _content(where: str, content: Any) -> str:
    """The text of a message's content. Raises UsageError for what is no text, by its name."""
    if not isinstance(content, (str, list)):
        raise UsageError(f'{where} has no text in "content": it is {_shown(content)}')
    texts = [content] if isinstance(content, str) else [_part(f"{where}, part {at}", p) for at, p in _counted(content)]
    text = "".join(texts)
    check_unicode(text, where)
    return text


def _part(where: str, part: Any) -> str:
    if not isinstance(part, dict) or "type" not in part:
        raise UsageError(f"{where} is not an object with a type")
    kind = part["type"]
    if kind not in _TEXT_PARTS:
        raise UsageError(f"{where} is of the type {_shown(kind)}: only text can be read, no images, sounds or files")
    if not isinstance(part.get("text"), str):
        raise UsageError(f'{where} has no text in "text"')
    return str(part["text"])


def _asked(value: Any, where: str) -> str:
    """A user message by itself, which must say something."""
    if not isinstance(value, (str, list)):
        raise UsageError(f"{where} is not a text: {_shown(value)}")
    text = _content(where, value)
    if not text.strip():
        raise UsageError(f"{where} is empty")
    return text


def _shown(value: Any) -> str:
    """`value` in a message: as JSON, and not at length."""
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:39] + "…"
