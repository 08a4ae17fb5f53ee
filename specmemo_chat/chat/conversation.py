"""Conversation: turns in, events out. It owns the history, drives the engine, and keeps arena and text in step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from specmemo_chat.chat.history import History, Prompt, Turn, common_prefix
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.sequence import Sequence
from specmemo_chat.engine.stops import StopMatcher
from specmemo_chat.errors import UsageError
from specmemo_chat.events import Event, FinishReason, Note, Progress, ReplyEnd, Statistics, Text
from specmemo_chat.models.tokenizer import ChatTokenizer
from specmemo_chat.settings import GenerationSettings

# Overflow drops whole oldest turns until the prompt takes at most this share of the context: once in a while, not at
# every turn, because the remaining turns must be prefilled again.
OVERFLOW_SHARE = 0.6
# Room that a prompt leaves for the reply, in tokens, where the user set no maximum; at most a quarter of the context.
REPLY_ROOM = 128

Interrupted = Callable[[], bool]


@dataclass(frozen=True)
class Memory:
    """Bytes for a reply's statistics: measured peak, measured and planned generation memory, plan and cap."""

    peak_bytes: int = 0
    generation_bytes: int = 0
    planned_bytes: int = 0
    planned_generation_bytes: int = 0
    cap_bytes: int = 0


class Conversation:
    """One conversation in row `row` of the engine. Not thread-safe."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: ChatTokenizer,
        history: History,
        *,
        row: int = 0,
        measure: Callable[[], Memory] = Memory,
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._row = row
        self._measure = measure
        self._cached: list[int] = []
        self.history = history

    @property
    def context_tokens(self) -> int:
        return self._engine.plan.context_tokens

    @property
    def used_tokens(self) -> int:
        """Tokens of the conversation that stand in the arena."""
        return len(self._cached)

    def restore(self, messages: Iterable[dict[str, str]], system: str | None) -> None:
        """Replace the conversation by user and assistant messages in turn; a system message replaces `system`.

        Nothing is reused: the next reply prefills everything. Raises UsageError where the roles do not alternate.
        """
        turns: list[Turn] = []
        for message in messages:
            role, content = message["role"], message["content"]
            if role == "system" and not turns:
                system = content
            elif role == "user" and (not turns or turns[-1].reply is not None):
                turns.append(Turn(content))
            elif role == "assistant" and turns and turns[-1].reply is None:
                turns[-1].reply = content
            else:
                raise UsageError(
                    f"a message with the role {role!r} is out of order", "user and assistant messages must alternate"
                )
        if turns and turns[-1].reply is None:
            raise UsageError("the conversation to restore ends with a user message", "send that message instead")
        self.history.turns = turns
        self.history.system = system

    def undo(self) -> bool:
        """Forget the last turn; False where there is none."""
        if not self.history.turns:
            return False
        self.history.turns.pop()
        return True

    def reply(
        self, text: str, settings: GenerationSettings, interrupted: Interrupted = lambda: False
    ) -> Iterator[Event]:
        """Answer `text`. Yields Note, Progress and Text events, then one ReplyEnd.

        A turn of which nothing was shown leaves the history as it was. Raises UsageError for an empty prompt and for
        one that is longer than the context.
        """
        started = time.perf_counter()
        if not text.strip():
            raise UsageError("the prompt is empty", "type a message")
        prompt, notes = self._fit(text, settings)
        yield from notes
        turn = Turn(text, prompt=prompt.tokens)
        self.history.turns.append(turn)
        yield from self._answer(turn, settings, interrupted, started)

    def regenerate(self, settings: GenerationSettings, interrupted: Interrupted = lambda: False) -> Iterator[Event]:
        """Answer the last message again, in place of its reply. Where nothing new is shown the old reply stays."""
        started = time.perf_counter()
        old = self._last_turn()
        self.history.turns.pop()
        try:
            prompt, notes = (Prompt(old.prompt), []) if old.prompt else self._fit(old.user, settings)
        except UsageError:
            self.history.turns.append(old)
            raise
        yield from notes
        turn = Turn(old.user, prompt=prompt.tokens)
        self.history.turns.append(turn)
        try:
            yield from self._answer(turn, settings, interrupted, started)
        finally:
            if turn.reply is None:
                self.history.turns.append(old)

    def compare(
        self, settings: GenerationSettings, interrupted: Interrupted = lambda: False
    ) -> tuple[ReplyEnd, ReplyEnd]:
        """The last message answered by speculation and by plain decoding. The history stays as it is.

        Both replies are made now, one after the other, with the same prompt, settings and seed.
        """
        turn = self._last_turn()
        if not turn.prompt:
            raise UsageError("the last turn was not answered by this worker", "send a message first, or /regen")
        ends = []
        for speculate in (True, False):
            trial = Turn(turn.user, prompt=turn.prompt)
            ends.append(self._run(trial, replace(settings, speculate=speculate), interrupted))
        return ends[0], ends[1]

    def _run(self, turn: Turn, settings: GenerationSettings, interrupted: Interrupted) -> ReplyEnd:
        for event in self._generate(turn, settings, interrupted, time.perf_counter()):
            if isinstance(event, ReplyEnd):
                return event
        raise AssertionError("a generation always ends with ReplyEnd")

    def _last_turn(self) -> Turn:
        if not self.history.turns:
            raise UsageError("there is no turn yet", "send a message first")
        return self.history.turns[-1]

    def _fit(self, text: str, settings: GenerationSettings) -> tuple[Prompt, list[Event]]:
        """The prompt for `text`; whole oldest turns are dropped where it would not leave room for a reply."""
        context = self.context_tokens
        room = min(settings.max_new_tokens or REPLY_ROOM, REPLY_ROOM, context // 4)
        notes: list[Event] = []
        prompt = self.history.prompt(text)
        if len(prompt.tokens) + room > context and self.history.turns:
            kept_turns = list(self.history.turns)
            before = len(prompt.tokens)
            dropped = 0
            while self.history.turns and len(prompt.tokens) > OVERFLOW_SHARE * context:
                self.history.drop_oldest()
                dropped += 1
                prompt = self.history.prompt(text)
            if len(prompt.tokens) + 1 > context:
                self.history.turns = kept_turns
            else:
                turns = "turn" if dropped == 1 else "turns"
                notes.append(
                    Note(
                        f"the conversation ({before} tokens) outgrew the context ({context}): "
                        f"the oldest {dropped} {turns} dropped, {len(prompt.tokens)} tokens kept"
                    )
                )
        if len(prompt.tokens) + 1 > context:
            raise UsageError(
                f"the prompt is {len(prompt.tokens)} tokens long and the context holds {context}",
                f"shorten it by {len(prompt.tokens) + 1 - context} tokens, or give a larger --ctx-size",
            )
        reused = common_prefix(self._cached, prompt.tokens)
        if prompt.rewritten and self._cached and reused < len(self._cached):
            notes.append(
                Note(f"the chat template rewrites earlier turns: {reused} of {len(prompt.tokens)} prompt tokens reused")
            )
        return prompt, notes

    def _answer(
        self, turn: Turn, settings: GenerationSettings, interrupted: Interrupted, started: float
    ) -> Iterator[Event]:
        """Generate the reply of the newest turn; a turn without a reply is taken back, whatever happens."""
        try:
            yield from self._generate(turn, settings, interrupted, started)
        finally:
            if turn.reply is None:
                self.history.turns.remove(turn)

    def _generate(
        self, turn: Turn, settings: GenerationSettings, interrupted: Interrupted, started: float
    ) -> Iterator[Event]:
        keep = common_prefix(self._cached, turn.prompt)
        # Until the sequence is closed, only what is certainly in the arena counts as cached.
        self._cached = turn.prompt[:keep]
        sequence = self._engine.open(turn.prompt, settings, row=self._row, keep=keep)
        writer = _ReplyWriter(self._tokenizer, settings.stop, sequence.eos_ids)
        finish: FinishReason = "interrupted"
        first_token_at = 0.0
        try:
            while True:
                if interrupted():
                    break
                step = self._engine.step([sequence])[0]
                if step.note:
                    yield Note(step.note)
                if step.tokens and not first_token_at:
                    first_token_at = time.perf_counter()
                if not step.tokens and step.finished is None:
                    yield Progress("prefill", sequence.prefilled, len(turn.prompt), "tokens")
                    continue
                yield from writer.push(step.tokens, step.from_draft)
                if writer.stopped:
                    finish = "stop"
                    break
                if step.finished is not None:
                    finish = step.finished
                    break
            yield from writer.flush()
            ended = time.perf_counter()
            if writer.token_ids or finish != "interrupted":
                writer.settle(turn)
            yield ReplyEnd(
                turn.reply or "",
                finish,
                self._statistics(sequence, settings, started, first_token_at or ended, ended),
            )
        finally:
            if turn.reply is None and writer.token_ids:
                writer.settle(turn)
            # Everything but the pending last token has keys and values; the engine rolls back what is not committed.
            self._cached = self._engine.close(sequence)

    def _statistics(
        self, sequence: Sequence, settings: GenerationSettings, started: float, first: float, ended: float
    ) -> Statistics:
        counts = sequence.statistics
        memory = self._measure()
        return Statistics(
            prompt_tokens=counts.prompt_tokens,
            reused_tokens=counts.reused_tokens,
            new_tokens=counts.new_tokens,
            ttft_s=first - started,
            decode_s=ended - first,
            steps=counts.steps,
            drafter=counts.drafter,
            seed=settings.seed,
            peak_bytes=memory.peak_bytes,
            generation_bytes=memory.generation_bytes,
            planned_bytes=memory.planned_bytes,
            planned_generation_bytes=memory.planned_generation_bytes,
            cap_bytes=memory.cap_bytes,
        )


class _ReplyWriter:
    """Turns a reply's tokens into visible text: holds back partial characters and partial stop texts, drops leading
    blanks, and remembers which tokens the visible text needs."""

    def __init__(self, tokenizer: ChatTokenizer, stops: tuple[str, ...], eos_ids: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._stream = tokenizer.stream()
        self._matcher = StopMatcher(stops)
        self._eos_ids = eos_ids
        self._text = ""
        self.token_ids: list[int] = []
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
        """What was held back as the possible beginning of a stop text."""
        yield from self._show([(self._matcher.flush(), False)])

    def _show(self, pieces: list[tuple[str, bool]]) -> Iterator[Event]:
        run, run_drafted = "", False
        for text, drafted in pieces:
            if not self._text and not run:
                text = text.lstrip()
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
        turn.reply = self._text.rstrip()
        ids = self.token_ids
        if self.stopped:
            # Keep the tokens whose text is visible as a whole; the rest of the visible text is tokenised anew later.
            kept = len(ids)
            while kept and not self._text.startswith(self._tokenizer.decode(ids[:kept]).lstrip()):
                kept -= 1
            ids = ids[:kept]
            turn.leftover = self._text[len(self._tokenizer.decode(ids).lstrip()) :]
        turn.reply_ids = list(ids)
