"""Syntax colours for code that arrives line by line: every line is coloured once, when it is complete.

pygments lexes whole texts. Here a lexer made of regular expressions is driven line by line, with its stack of states
kept between lines; other lexers see each line alone. So the cost of a line does not grow with the block, and what is
on the screen never has to change its colour.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Iterator
from typing import Any

from pygments.lexer import ExtendedRegexLexer, Lexer, RegexLexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Error, Generic, Keyword, Literal, Name, Number, Operator, String, Token, _TokenType
from pygments.util import ClassNotFound

from specmemo_chat.terminal.render.style import BLUE, BOLD, CYAN, GRAY, GREEN, ITALIC, MAGENTA, PLAIN, RED, YELLOW

# A line longer than this is data; lexing it would only cost time.
LONGEST_LINE = 2000

_STYLES: dict[_TokenType, int] = {
    Token: PLAIN,
    Comment: GRAY | ITALIC,
    Comment.Preproc: MAGENTA,
    Keyword: MAGENTA,
    Keyword.Constant: CYAN,
    Keyword.Type: CYAN,
    Name.Builtin: CYAN,
    Name.Class: BLUE | BOLD,
    Name.Function: BLUE,
    Name.Decorator: MAGENTA,
    Name.Exception: CYAN,
    Name.Tag: MAGENTA,
    Name.Attribute: BLUE,
    Number: CYAN,
    String: YELLOW,
    Literal.Date: YELLOW,
    String.Escape: RED,
    Operator.Word: MAGENTA,
    Generic.Inserted: GREEN,
    Generic.Deleted: RED,
    Generic.Heading: BOLD,
    Generic.Prompt: GRAY,
}
_COMMENT = _STYLES[Comment]


def _style_of(kind: _TokenType) -> int:
    while kind not in _STYLES:
        kind = kind.parent
    return _STYLES[kind]


class Highlighter:
    """Colours the lines of one code block. `copy` gives one that goes on from the same place."""

    def __init__(self, language: str) -> None:
        self._lexer, self._slash_comments = _find_lexer(language)
        self._stack: tuple[str, ...] = ("root",)
        self._in_comment = False

    def copy(self) -> Highlighter:
        return copy.copy(self)

    def line(self, text: str) -> list[tuple[str, int]]:
        """The runs (text, style) of the next line, which has no newline at its end."""
        if self._lexer is None or len(text) > LONGEST_LINE:
            return [(text, PLAIN)]
        runs: list[tuple[str, int]] = []
        if self._in_comment:
            end = text.find("*/")
            if end < 0:
                return [(text, _COMMENT)]
            self._in_comment = False
            runs.append((text[: end + 2], _COMMENT))
            text = text[end + 2 :]
        opened = self._comment_left_open(text) if self._slash_comments else -1
        if opened >= 0:
            self._in_comment = True
            return [*runs, *self._lex(text[:opened]), (text[opened:], _COMMENT)]
        return [*runs, *self._lex(text)]

    def _comment_left_open(self, text: str) -> int:
        """Where a `/*` stands that begins a comment with its end on another line, -1 where there is none."""
        at = text.rfind("/*")
        if at < 0 or "*/" in text[at + 2 :]:
            return -1
        stack = self._stack
        place = 0
        for value, style in self._lex(text):
            if place <= at < place + len(value):
                self._stack = stack
                # In a string or a comment it begins nothing, unless the comment begins with it.
                inside = style == _STYLES[String] or (style == _COMMENT and at > place)
                return -1 if inside and not value[: at - place].endswith("*/") else at
            place += len(value)
        self._stack = stack
        return -1

    def _lex(self, text: str) -> list[tuple[str, int]]:
        if not text:
            return []
        if isinstance(self._lexer, RegexLexer) and not isinstance(self._lexer, ExtendedRegexLexer):
            tokens = self._resume(text + "\n")
        else:
            assert self._lexer is not None
            tokens = ((kind, value) for _, kind, value in self._lexer.get_tokens_unprocessed(text + "\n"))
        try:
            pairs = [(value.replace("\n", ""), _style_of(kind)) for kind, value in tokens]
        except Exception:  # noqa: BLE001 - hundreds of lexers of others: colours are not worth a reply
            self._lexer = None
            return [(text, PLAIN)]
        runs = [
            ("".join(value for value, _ in group), style)
            for style, group in itertools.groupby(pairs, key=lambda pair: pair[1])
        ]
        # A lexer may lose or add text; what the model wrote is shown.
        return runs if "".join(value for value, _ in runs) == text else [(text, PLAIN)]

    def _resume(self, text: str) -> Iterator[tuple[_TokenType, str]]:
        """Lex one line from the state in which the last one ended."""
        lexer: Any = self._lexer
        stack, at = list(self._stack), 0
        while at < len(text):
            for match_at, action, transition in lexer._tokens[stack[-1]]:
                found = match_at(text, at)
                # An empty match in the same state would go on for ever at the end of a line.
                if found is None or (found.end() == at and transition is None):
                    continue
                if isinstance(action, _TokenType):
                    yield action, found.group()
                elif action is not None:
                    for _, kind, value in action(lexer, found):
                        if value:
                            yield kind, value
                at = found.end()
                if transition is not None:
                    _move(stack, transition)
                break
            else:
                if text[at] == "\n":
                    stack = ["root"]
                    yield Token.Text, "\n"
                else:
                    yield Error, text[at]
                at += 1
        self._stack = tuple(stack)


def _move(stack: list[str], transition: Any) -> None:
    """Apply pygments' state transition: states to push, "#pop", "#push", or a negative count of states to pop."""
    if isinstance(transition, int):
        del stack[max(1, len(stack) + transition) :]
        return
    for state in transition if isinstance(transition, tuple) else (transition,):
        if state == "#pop":
            if len(stack) > 1:
                stack.pop()
        else:
            stack.append(stack[-1] if state == "#push" else state)


@functools.lru_cache(maxsize=64)
def _find_lexer(language: str) -> tuple[Lexer | None, bool]:
    """The lexer of a language, None where there is none, and whether the language has `/* … */`."""
    if not language or len(language) > 40:
        return None, False
    try:
        lexer = get_lexer_by_name(language.lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None, False
    return lexer, _has_slash_comments(lexer)


def _has_slash_comments(lexer: Lexer) -> bool:
    """Whether `/* … */` is a comment in the lexer's language."""
    kinds = {kind for _, kind, _ in lexer.get_tokens_unprocessed("/* a */\n")}
    return any(kind in Comment for kind in kinds) and Error not in kinds
