"""A stored conversation as Markdown or as JSON."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from typing import Any

from specmemo_chat.fences import LONGEST_FENCE, Fences, Kind, indent_of, lines_of, unclosed
from specmemo_chat.sessions.turns import Resumed, SessionInfo, StoredTurn, branches

CUT_OFF = {"interrupted": "interrupted", "partial": "cut off: the program ended during this reply"}


def as_json(session: SessionInfo, turns: Sequence[StoredTurn], current: Sequence[StoredTurn]) -> dict[str, Any]:
    """Everything that is stored. `turns` is the whole tree, `messages` the current branch in the form that
    `specmemo batch` and most libraries read; times are seconds since 1970."""
    return {
        "schema": 1,
        "id": session.id,
        "name": session.name,
        "title": session.title,
        "model": session.model,
        "created": session.created,
        "updated": session.updated,
        "head": session.head,
        "messages": messages(current),
        "turns": [
            {
                "id": turn.id,
                "parent": turn.parent,
                "user": turn.user,
                "reply": turn.reply,
                "state": turn.state,
                "finish_reason": turn.finish_reason,
                "created": turn.created,
                "updated": turn.updated,
                **({"system": turn.system} if turn.system is not None else {}),
                "stats": turn.statistics,
            }
            for turn in turns
        ],
    }


def messages(turns: Iterable[StoredTurn]) -> list[dict[str, str]]:
    """The turns as role/content pairs, the system prompt first."""
    pairs: list[dict[str, str]] = []
    for turn in turns:
        if turn.parent is None and turn.system:
            pairs.append({"role": "system", "content": turn.system})
        pairs.append({"role": "user", "content": turn.user})
        pairs.append({"role": "assistant", "content": turn.reply})
    return pairs


def as_markdown(resumed: Resumed, turns: Sequence[StoredTurn] = ()) -> str:
    """The current branch as a document; with `turns`, the whole tree, the other branches after it.

    A heading `## You`, `## System` or `## MODEL` begins a turn, and nothing else does: what the user wrote is quoted, a
    reply's code block that was left open is closed.
    """
    session = resumed.session
    parts = [f"# {_shut(session.title)}", f"{session.model}, {_day(session.created)}"]
    parts += _way(session.model, resumed.turns)
    shown = {turn.id for turn in resumed.turns}
    for number, way in enumerate((way for way in branches(turns) if way[-1].id not in shown), start=1):
        fork = next((turn for turn in reversed(way) if turn.id in shown), None)
        after = f"after “{_shut(_first_line(fork.user))}”" if fork is not None else "from the beginning"
        parts += [f"# Branch {number}, {after}"]
        parts += _way(session.model, [turn for turn in way if turn.id not in shown])
    return "\n\n".join(parts) + "\n"


def _way(model: str, turns: Iterable[StoredTurn]) -> list[str]:
    parts = []
    for turn in turns:
        if turn.parent is None and turn.system:
            parts += ["## System", _quoted(turn.system)]
        parts += ["## You", _quoted(turn.user), f"## {model}"]
        if turn.reply:
            parts.append(_answered(turn.reply, model))
        if turn.state in CUT_OFF:
            parts.append(f"*({CUT_OFF[turn.state]})*")
    return parts


_TITLE = re.compile(r" {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(?:-+|=+)[ \t]*$")
_LONG_FENCE = re.compile(rf" {{0,3}}(?:```|~~~).{{{LONGEST_FENCE - 3},}}")
# HTML that goes on until its end comes, over whatever follows.
_HTML = re.compile(
    r"(?<![`\\])<(?:(?P<comment>!--)|(?P<process>\?)|(?P<data>!\[CDATA\[)|(?P<declaration>!)(?=[A-Za-z])"
    r"|(?P<tag>pre|script|style|textarea|title|xmp|iframe|noembed|noframes|plaintext)\b)",
    re.IGNORECASE,
)
_HTML_ENDS = {"comment": "-->", "process": "?>", "data": "]]>", "declaration": ">"}


def _answered(text: str, model: str) -> str:
    """A reply: Markdown as it is, but quoted where it could be read as something else."""
    names = re.compile(rf"(?:You|System|{re.escape(model)}|Branch \d.*)")
    return _closed(text) if _stands_alone(_one_newline(text), names) else _quoted(text)


def _stands_alone(text: str, names: re.Pattern[str]) -> bool:
    """Whether no heading in the text has one of the `names`, and every reader of Markdown sees the same code in it.

    That is not so of a block in a list with lines further left than its fence, of a fence in HTML, and of one that is
    too long to be one here.
    """
    fences = Fences()
    before, html = "", ""
    for line in lines_of(text):
        block = fences.open
        kind = fences.line(line)[0]
        if _LONG_FENCE.match(line) is not None or (kind is Kind.OPENS and html):
            return False
        if kind is Kind.TEXT:
            title = _TITLE.match(line)
            heading = title.group(1) if title is not None else before.strip() if _UNDERLINE.match(line) else ""
            if names.fullmatch(heading):
                return False
            if _HTML.search(line) is not None:
                html = "until its end"
            elif not html or (html == "until a blank line" and not line.strip()):
                html = "until a blank line" if line.lstrip().startswith("<") else ""
        elif block is not None and block.indent and (code := line[block.inside(line) :]).strip():
            indent = indent_of(code)
            if indent < block.indent or (kind is Kind.CLOSES and indent > block.indent):
                return False
        before = line if kind is Kind.TEXT else ""
    return True


def _closed(text: str) -> str:
    """The text without HTML that would go on, and with the end of a code block that it left open."""
    text = _one_newline(text)
    left = unclosed(text)
    return _shut(text) + (f"\n{left.closing()}" if left is not None else "")


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" if line else ">" for line in _closed(text).split("\n"))


def _shut(text: str) -> str:
    """The text with a backslash before HTML whose end does not follow, outside code."""
    fences, found, at = Fences(), [], 0
    for line in text.split("\n"):
        shut = line
        for html in reversed(list(_HTML.finditer(line)) if fences.line(line)[0] is Kind.TEXT else []):
            if _open(html, text, at):
                shut = f"{shut[: html.start()]}\\{shut[html.start() :]}"
        at += len(line) + 1
        found.append(shut)
    return "\n".join(found)


def _open(html: re.Match[str], text: str, at: int) -> bool:
    """Whether the end of the HTML, which stands in the line from `at` on, is missing in `text`."""
    kind = html.lastgroup or ""
    end = _HTML_ENDS.get(kind, f"</{html.group(kind)}")
    return re.compile(re.escape(end), re.IGNORECASE).search(text, at + html.end()) is None


def _one_newline(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _day(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:60]
