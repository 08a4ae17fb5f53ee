"""From a reply's token ids to its visible text, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from specmemo_chat.chat.history import Turn
from specmemo_chat.engine.stops import StopMatcher
from specmemo_chat.events import Event, Text
from specmemo_chat.models.tokenizer import ChatTokenizer


class ReplyWriter:
    """Turns a reply's tokens into visible text: holds back partial characters and partial stop texts, drops leading
    blanks, and remembers which tokens the visible text needs. `before`: ids of the reply that were shown already."""

    def __init__(
        self, tokenizer: ChatTokenizer, stops: tuple[str, ...], eos_ids: frozenset[int], before: Sequence[int] = ()
    ) -> None:
        self._tokenizer = tokenizer
        self._stream = tokenizer.stream()
        self._matcher = StopMatcher(stops)
        self._eos_ids = eos_ids
        # Through the stream too: what a token says may depend on the one before it.
        text = "".join([self._stream.push(token) for token in before]).lstrip()
        # What was shown of a possible stop text comes once more, and is not shown again.
        self._again = self._matcher.follow(text)
        self._text = text[: len(text) - self._again]
        self.token_ids = list(before)
        self.stopped = False

    def push(self, tokens: tuple[int, ...], from_draft: tuple[bool, ...]) -> Iterator[Event]:
        """The text that these tokens make visible, one event per run of the same origin."""
        pieces: list[tuple[str, bool]] = []
        for token, drafted in zip(tokens, from_draft, strict=True):
            self.token_ids.append(token)
            if token in self._eos_ids:
                break
            visible = self._matcher.push(self._stream.push(token))
            pieces.append((visible, drafted))
            if self._matcher.stopped:
                self.stopped = True
                break
        yield from self._show(pieces)

    def flush(self) -> Iterator[Event]:
        """What was held back: a character that is not whole, the possible beginning of a stop text."""
        rest = self._matcher.push(self._stream.flush())
        self.stopped = self._matcher.stopped
        yield from self._show([(rest + self._matcher.flush(), False)])

    def _show(self, pieces: list[tuple[str, bool]]) -> Iterator[Event]:
        run, run_drafted = "", False
        for text, drafted in pieces:
            if not self._text and not run:
                text = text.lstrip()
            if self._again:
                seen, text = text[: self._again], text[self._again :]
                self._text += seen
                self._again -= len(seen)
            if not text:
                continue
            if run and drafted != run_drafted:
                self._text += run
                yield Text(run, run_drafted)
                run = ""
            run, run_drafted = run + text, drafted
        if run:
            self._text += run
            yield Text(run, run_drafted)

    def settle(self, turn: Turn) -> None:
        """Write the visible text and its tokens into the turn."""
        turn.reply, turn.leftover = self._text.rstrip(), ""
        ids = self.token_ids
        if self.stopped:
            # Keep the tokens whose text is visible as a whole; the rest of the visible text is tokenised anew later.
            kept = len(ids)
            while kept and not self._text.startswith(self._tokenizer.decode(ids[:kept]).lstrip()):
                kept -= 1
            ids = ids[:kept]
            turn.leftover = turn.reply[len(self._tokenizer.decode(ids).lstrip()) :]
        turn.reply_ids = list(ids)
