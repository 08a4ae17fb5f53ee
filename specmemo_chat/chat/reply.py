"""One reply while it is made: from the engine's steps to events, and into its turn."""

from __future__ import annotations

import time
from collections.abc import Iterator

from specmemo_chat.chat.history import Turn
from specmemo_chat.chat.reply_writer import ReplyWriter
from specmemo_chat.engine.sequence import Sequence, Step
from specmemo_chat.events import Event, FinishReason, Note, Progress, ReplyEnd, Statistics
from specmemo_chat.memory.meter import Memory


class Reply:
    """The reply of `turn`, which grows in `sequence`. `started`: when its message was sent (time.perf_counter)."""

    def __init__(self, turn: Turn, sequence: Sequence, writer: ReplyWriter, started: float) -> None:
        self.turn = turn
        self.sequence = sequence
        self.finish: FinishReason | None = None
        self._writer = writer
        # Ids of the prompt that are the beginning of the reply.
        self._before = len(writer.token_ids)
        self._started = started
        self._first_token_at = 0.0

    def take(self, step: Step) -> Iterator[Event]:
        """What one step of the engine adds; `finish` is set where the reply has ended."""
        if step.note:
            yield Note(step.note)
        if step.tokens and not self._first_token_at:
            self._first_token_at = time.perf_counter()
        if not step.tokens and step.finished is None:
            yield Progress("prefill", self.sequence.prefilled, self.sequence.goal)
            return
        yield from self._writer.push(step.tokens, step.from_draft)
        self.finish = "stop" if self._writer.stopped else step.finished

    def end(self, memory: Memory) -> Iterator[Event]:
        """The rest of the text and ReplyEnd; the turn has its reply, unless nothing came before an interrupt."""
        yield from self._writer.flush()
        ended = time.perf_counter()
        finish: FinishReason = "stop" if self._writer.stopped else self.finish or "interrupted"
        if self._writer.token_ids or finish != "interrupted":
            self._writer.settle(self.turn)
        used = self.sequence.prompt_length + len(self.turn.reply_ids) - self._before
        yield ReplyEnd(self.turn.reply or "", finish, self._statistics(memory, ended), used)

    def keep(self) -> None:
        """Where the reply broke off: what there is of it goes into the turn."""
        if self.turn.reply is None and self._writer.token_ids:
            for _ in self._writer.flush():
                continue  # nobody reads it any more
            self._writer.settle(self.turn)

    def _statistics(self, memory: Memory, ended: float) -> Statistics:
        counts, first = self.sequence.statistics, self._first_token_at or ended
        return Statistics(
            prompt_tokens=counts.prompt_tokens,
            reused_tokens=counts.reused_tokens,
            new_tokens=counts.new_tokens,
            ttft_s=first - self._started,
            decode_s=ended - first,
            steps=counts.steps,
            drafter=counts.drafter,
            seed=self.sequence.settings.seed,
            peak_bytes=memory.peak_bytes,
            generation_bytes=memory.generation_bytes,
            planned_bytes=memory.planned_bytes,
            planned_generation_bytes=memory.planned_generation_bytes,
            cap_bytes=memory.cap_bytes,
        )
