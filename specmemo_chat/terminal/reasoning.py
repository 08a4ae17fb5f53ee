"""What a model thinks aloud before its answer: the block between `<think>` and `</think>` at a reply's beginning."""

from __future__ import annotations

OPEN, CLOSE = "<think>", "</think>"


class ReasoningSplitter:
    """Splits a streamed reply into reasoning and answer; what could be the beginning of a tag is held back.

    `opened`: the prompt ended with the opening tag, so the reply begins inside the block. A tag later in the answer is
    text.
    """

    def __init__(self, *, opened: bool = False) -> None:
        self._state = "reasoning" if opened else "start"
        self._held = ""

    def feed(self, text: str) -> list[tuple[str, bool]]:
        """The pieces that are certain, each with whether it is reasoning."""
        found: list[tuple[str, bool]] = []
        self._held += text
        if self._state == "start":
            begun = self._held.lstrip()
            if begun.startswith(OPEN):
                self._state, self._held = "reasoning", begun[len(OPEN) :]
            elif not OPEN.startswith(begun):
                self._state = "answer"
        if self._state == "reasoning":
            inside, tag, after = self._held.partition(CLOSE)
            if tag:
                self._state, self._held = "gap", after
            else:
                keep = _overlap(inside, CLOSE)
                inside, self._held = inside[: len(inside) - keep], inside[len(inside) - keep :]
            if inside:
                found.append((inside, True))
        if self._state == "gap":
            self._held = self._held.lstrip()
            if self._held:
                self._state = "answer"
        if self._state == "answer" and self._held:
            found.append((self._held, False))
            self._held = ""
        return found

    def flush(self) -> list[tuple[str, bool]]:
        """What was held back, at the end of the reply."""
        held, self._held = self._held, ""
        return [(held, self._state == "reasoning")] if held else []


def split_reasoning(reply: str, *, opened: bool = False) -> tuple[str, str]:
    """The reasoning and the answer of a complete reply."""
    splitter = ReasoningSplitter(opened=opened)
    pieces = splitter.feed(reply) + splitter.flush()
    reasoning = "".join(text for text, thought in pieces if thought)
    return reasoning.strip(), "".join(text for text, thought in pieces if not thought)


def _overlap(text: str, tag: str) -> int:
    """Length of the longest end of `text` that begins `tag`."""
    for size in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:size]):
            return size
    return 0
