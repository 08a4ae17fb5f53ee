"""Inline Markdown: code spans, emphasis, links, entities in one paragraph.

Follows CommonMark with three departures that chat replies need: `\\(`, `\\[` and their closing forms keep the
backslash, because models write formulas so; emphasis may end before a wide script's letter (`**重要。**次`); a link
shows its address, so that nothing on the screen leads elsewhere than it says.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from specmemo_chat.terminal.render.style import BLUE, BOLD, CYAN, DIM, ITALIC, STRIKE, UNDERLINE, Piece, with_style
from specmemo_chat.terminal.text import safe

CODE_STYLE = CYAN
LINK_STYLE = UNDERLINE | BLUE

_PLAIN_RUN = re.compile(r"[^\\`*_~\[!<&\n:]+")
_MARK_RUN = re.compile(r"`+|\*+|_+|~+")
_TICKS = re.compile("`+")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_KEEPS_BACKSLASH = frozenset("()[]")


def _balanced(inner: str, opening: str, closing: str) -> str:
    """Any number of `inner`, and of pairs of brackets with the same, two deep."""
    pattern = f"(?:{inner})"
    for _ in range(2):
        pattern = f"(?:{inner}|{opening}{pattern}*{closing})"
    return f"{pattern}*"


_LABEL = _balanced(r"[^\[\]\\`\n]|\\.|`[^`\n]*`|`(?![^`\n]*`)", r"\[", r"\]")
_ADDRESS = _balanced(r"[^\s()<>\\]|\\.", r"\(", r"\)")
_LINK = re.compile(
    rf"!?\[({_LABEL})\]\([ \t]*(?:<([^<>\n]*)>|({_ADDRESS}))"
    r"""(?:[ \t]+(?:"[^"\n]*"|'[^'\n]*'|\([^()\n]*\)))?[ \t]*\)"""
)
_AUTOLINK = re.compile(r"<((?:https?|mailto|ftp):[^\s<>]+|[\w.+-]+@[\w.-]+\.\w+)>")
_BARE_LINK = re.compile(r"://[^\s<>*`|\"]*[^\s<>*`|\".,;:!?'_~)\]}]")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_WIDE_SCRIPTS = "\u2e80"


@dataclass(slots=True)
class _Node:
    """A stretch of output; for a run of `*`, `_` or `~` also what it may open and close."""

    text: str
    at: int
    style: int = 0
    mark: str = ""
    length: int = 0
    can_open: bool = False
    can_close: bool = False


def parse(text: str, *, optimistic: bool = False) -> tuple[list[Piece], bool]:
    """The pieces of a paragraph, with newlines as pieces of their own, and whether something is open that later text
    could close. `optimistic`: what is open counts as closed at the end, for a preview of unfinished text.

    A piece's `at` is its offset in `text`.
    """
    nodes, is_open = _scan(text, optimistic)
    is_open = _emphasise(nodes, optimistic) or is_open
    return [Piece(node.text, node.style, node.at) for node in nodes if node.text], is_open


def _scan(text: str, optimistic: bool) -> tuple[list[_Node], bool]:
    nodes: list[_Node] = []
    at, is_open = 0, False
    while at < len(text):
        if (plain := _PLAIN_RUN.match(text, at)) is not None:
            nodes.append(_Node(plain.group(), at))
            at = plain.end()
        elif (run := _MARK_RUN.match(text, at)) is None:
            at = _special(text, at, nodes)
        elif text[at] != "`":
            nodes.append(_delimiter(text, at, run.end() - at))
            at = run.end()
        else:
            start, length = run.end(), run.end() - at
            close = next((end.start() for end in _TICKS.finditer(text, start) if end.end() - end.start() == length), -1)
            if close < 0 and optimistic and text[start:].strip():
                close = len(text)
            if close >= 0:
                nodes.extend(_code_span(text, start, close))
                at = min(close + length, len(text))
            else:
                is_open = True
                nodes.append(_Node(run.group(), at))
                at = start
    return nodes, is_open


def _special(text: str, at: int, nodes: list[_Node]) -> int:
    """Take what stands at `at`, which begins with one of `\\ [ ! < & : newline`; the offset after it."""
    char = text[at]
    if char == "\\" and (escape := _ESCAPE.match(text, at)) is not None:
        start = at + (escape.group(1) not in _KEEPS_BACKSLASH)
        nodes.append(_Node(text[start : at + 2], start))
        return at + 2
    if char in "![" and (link := _LINK.match(text, at)) is not None:
        nodes.extend(_link(link))
        return link.end()
    if char == "<":
        if (address := _AUTOLINK.match(text, at)) is not None:
            nodes.append(_Node(address.group(1), address.start(1), LINK_STYLE))
            return address.end()
        if (line_break := _BREAK.match(text, at)) is not None:
            nodes.append(_Node("\n", -1))
            return line_break.end()
    if char == ":" and (bare := _BARE_LINK.match(text, at)) is not None and nodes:
        before = nodes[-1]
        scheme = next((name for name in ("https", "http") if before.text.endswith(name) and not before.mark), "")
        if scheme:
            before.text = before.text.removesuffix(scheme)
            nodes.append(_Node(scheme + bare.group(), at - len(scheme), LINK_STYLE))
            return bare.end()
    if char == "&" and (entity := _ENTITY.match(text, at)) is not None:
        nodes.append(_Node(_unescaped(entity.group()), -1))
        return entity.end()
    nodes.append(_Node(char, at))
    return at + 1


def _unescaped(text: str) -> str:
    """The text with its entities read, which may name control characters."""
    return safe(html.unescape(text)).replace("\n", " ").replace("\t", " ")


def _code_span(text: str, start: int, end: int) -> Iterator[_Node]:
    content = text[start:end]
    if content.startswith(" ") and content.endswith(" ") and content.strip():
        start, content = start + 1, content[1:-1]
    for number, line in enumerate(content.split("\n")):
        if number:
            yield _Node("\n", -1)
        yield _Node(line, start, CODE_STYLE)
        start += len(line) + 1


def _link(found: re.Match[str]) -> Iterator[_Node]:
    """The link's text, and its address where that is not the same."""
    image = found.group().startswith("!")
    label, number = found.group(1), 2 if found.group(2) is not None else 3
    source = found.group(number)
    address = _unescaped(_ESCAPE.sub(r"\1", source))
    pieces, _ = parse(label)
    for piece in pieces:
        at = piece.at + found.start(1) if piece.at >= 0 else -1
        yield _Node(piece.text, at, with_style(ITALIC if image else LINK_STYLE, piece.style))
    if address and address != label:
        yield _Node(" (" if label else "(", -1, DIM)
        yield _Node(address, found.start(number) if address == source else -1, DIM)
        yield _Node(")", -1, DIM)


def _delimiter(text: str, at: int, length: int) -> _Node:
    mark = text[at]
    node = _Node(text[at : at + length], at, mark=mark, length=length)
    if mark == "~" and length != 2:
        return _Node(node.text, at)
    before = text[at - 1] if at else " "
    after = text[at + length] if at + length < len(text) else " "
    left = not after.isspace() and (_in_word(after) or not _in_word(before) or before >= _WIDE_SCRIPTS)
    right = not before.isspace() and (_in_word(before) or not _in_word(after) or after >= _WIDE_SCRIPTS)
    if mark == "_":
        node.can_open = left and (not right or not _in_word(before))
        node.can_close = right and (not left or not _in_word(after))
    else:
        node.can_open, node.can_close = left, right
    return node


def _in_word(char: str) -> bool:
    """Neither a blank nor punctuation nor a symbol: letters, digits, and the vowel signs and tone marks of scripts."""
    return not char.isspace() and unicodedata.category(char)[0] not in "PS"


def _emphasise(nodes: list[_Node], optimistic: bool) -> bool:
    """Pair the runs and style what they enclose; whether an opening one is left."""
    openers: list[int] = []
    for index, node in enumerate(nodes):
        if not node.mark:
            continue
        while node.text and node.can_close:
            place = _opener(nodes, openers, node)
            if place < 0:
                break
            opener = nodes[openers[place]]
            used = 2 if len(opener.text) >= 2 and len(node.text) >= 2 else 1
            _enclose(nodes, openers[place] + 1, index, node.mark, used)
            opener.text, node.text = opener.text[used:], node.text[used:]
            node.at += used
            del openers[place + (1 if opener.text else 0) :]
        if node.text and node.can_open:
            openers.append(index)
    if optimistic:
        for index in reversed(openers):
            node = nodes[index]
            while node.text:
                used = min(2, len(node.text))
                _enclose(nodes, index + 1, len(nodes), node.mark, used)
                node.text = node.text[used:]
    return bool(openers)


def _opener(nodes: list[_Node], openers: list[int], closer: _Node) -> int:
    """The place in `openers` of the nearest run that `closer` may close, -1 where there is none."""
    for place in range(len(openers) - 1, -1, -1):
        opener = nodes[openers[place]]
        if opener.mark != closer.mark:
            continue
        both = opener.can_close or closer.can_open
        if both and (opener.length + closer.length) % 3 == 0 and (opener.length % 3 or closer.length % 3):
            continue
        return place
    return -1


def _enclose(nodes: list[_Node], start: int, end: int, mark: str, used: int) -> None:
    style = STRIKE if mark == "~" else BOLD if used == 2 else ITALIC
    for node in nodes[start:end]:
        node.style = with_style(node.style, style)
