"""Conversation: turns in, events out. It owns the history, drives the engine, and keeps arena and text in step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Rows
from dataclasses import replace

from specmemo_chat.chat.history import History, Prompt, Turn, common_prefix
from specmemo_chat.chat.outlook import Outlook
from specmemo_chat.chat.reply import Reply
from specmemo_chat.chat.reply_writer import ReplyWriter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.sequence import NO_ROW, Sequence
from specmemo_chat.errors import UsageError, Words
from specmemo_chat.events import Event, Note, ReplyEnd
from specmemo_chat.memory.meter import Memory
from specmemo_chat.models.encoding import PIECE
from specmemo_chat.models.tokenizer import ChatTokenizer
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.sizes import counted

# Overflow drops whole oldest turns until the prompt takes at most this share of the context: once in a while, not at
# every turn, because the remaining turns must be prefilled again.
OVERFLOW_SHARE = 0.6
# Room that a prompt leaves for the reply, in tokens, where the user set no maximum; at most a quarter of the context.
REPLY_ROOM = 128

Interrupted = Callable[[], bool]
Ids = Rows[int]


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
        # What the last sequence left in the arena, and the token after it.
        self._cached: list[int] = []
        self.history = history

    @property
    def context_tokens(self) -> int:
        return self._engine.plan.context_tokens

    @property
    def used_tokens(self) -> int:
        """Tokens of the conversation that stand in the arena."""
        return max(0, len(self._cached) - 1)

    @property
    def engine(self) -> Engine:
        """Where its replies are made."""
        return self._engine

    def sibling(self) -> Conversation:
        """A conversation without turns beside this one: the same engine, tokenizer, template and system prompt."""
        return Conversation(self._engine, self._tokenizer, self.history.empty(), row=NO_ROW, measure=self._measure)

    def forget(self) -> None:
        """Give the row up; the next reply prefills everything."""
        self._engine.release(self._row)
        self._cached = []

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

    def undo(self, turns: int = 1) -> bool:
        """Forget the last `turns` turns; False, and nothing forgotten, where there are not so many."""
        if not 0 < turns <= len(self.history.turns):
            return False
        self.history.undo(turns)
        return True

    def reply(
        self, text: str, settings: GenerationSettings, interrupted: Interrupted = lambda: False
    ) -> Iterator[Event]:
        """Answer `text`. Yields Note, Progress and Text events, then one ReplyEnd.

        A turn of which nothing was shown leaves the history as it was. Raises UsageError for an empty prompt and for
        one that is longer than the context.
        """
        started = time.perf_counter()
        self._check(text, settings)
        prompt, notes = self._fit(text, settings)
        yield from notes
        turn = prompt.turn(text)
        self.history.turns.append(turn)
        yield from self._answer(turn, settings, interrupted, started)

    def regenerate(self, settings: GenerationSettings, interrupted: Interrupted = lambda: False) -> Iterator[Event]:
        """Answer the last message again, in place of its reply. Where nothing new is shown the old reply stays."""
        started = time.perf_counter()
        old = self._last_turn()
        self.history.turns.pop()
        turn, notes = old.again(), list[Event]()
        if not old.prompt:
            try:
                prompt, notes = self._fit(old.user, settings)
            except UsageError:
                self.history.turns.append(old)
                raise
            turn = prompt.turn(old.user)
        yield from notes
        self.history.turns.append(turn)
        try:
            yield from self._answer(turn, settings, interrupted, started)
        finally:
            if turn.reply is None:
                self.history.turns.append(old)

    def resume(self, settings: GenerationSettings, interrupted: Interrupted = lambda: False) -> Iterator[Event]:
        """Go on with the last reply where it ended. The Text events are what is new, the ReplyEnd has the whole reply.

        Raises UsageError where there is no reply, or where it fills the context alone.
        """
        started = time.perf_counter()
        turn = self._last_turn()
        before, notes = self._fit_reply(turn, settings)
        yield from notes
        # The positions are those of one long reply, so a sampled text goes on as it would have without the stop.
        longer = Turn(turn.user, prompt=turn.prompt + before)
        try:
            yield from self._generate(longer, settings, interrupted, started, before)
        finally:
            if longer.reply is not None:
                turn.reply, turn.reply_ids, turn.leftover = longer.reply, longer.reply_ids, longer.leftover
                turn.size = 0

    def _fit_reply(self, turn: Turn, settings: GenerationSettings) -> tuple[list[int], list[Event]]:
        """The ids of the last turn's reply so far; whole oldest turns are dropped where there is no room to go on."""
        history, context, notes = self.history, self.context_tokens, list[Event]()
        room, others = self.reply_room(settings), len(history.turns) - 1
        known = len(turn.reply_ids) or history.count(turn.reply or "")
        ids = history.reopen() if turn.prompt or self._seem_to_fit(others, room + known) else []
        if not turn.prompt or len(turn.prompt) + len(ids) + room > context:
            known = max(known, len(ids))
            dropped, prompt = self._cut(turn.user, others, room, known)
            if len(prompt.tokens) + known + 1 > context:
                raise UsageError(
                    f"the last message and its reply fill the context ({context} tokens)",
                    self._engine.larger_context(len(prompt.tokens) + known + room),
                    Words("begin another conversation", "/clear begins anew"),
                )
            if dropped:
                kept = replace(turn)
                history.drop(dropped)
                turn.reply_ids, turn.leftover = kept.reply_ids, kept.leftover
                gone = counted(dropped, "turn")
                notes.append(Note(f"the context ({context} tokens) is full: the oldest {gone} dropped"))
            if dropped or not turn.prompt:
                turn.prompt, turn.text_hash = prompt.tokens, prompt.text_hash
            ids = history.reopen()
        return ids, notes

    def _seem_to_fit(self, stop: int, room: int) -> bool:
        """Whether the turns before `stop` leave `room` tokens, by what is known of their sizes."""
        return len(self.history.newest(self.context_tokens - room, stop)) == stop

    def _cut(self, text: str, stop: int, room: int, reply: int = 0) -> tuple[int, Prompt]:
        """How many of the oldest turns must go so that those before `stop`, the message `text` and `reply` tokens of
        its answer leave `room`, and the prompt without them. Nothing is dropped yet.

        The sizes of the turns tell it, so that a long conversation is rendered and tokenised once, not for each turn.
        """
        history, context = self.history, self.context_tokens
        limit = context - room - reply
        goal = min(int(OVERFLOW_SHARE * context) - reply, limit)
        system, around = history.overhead
        budget, cut_short = goal - system - around - history.count(text), False
        while True:
            dropped = stop - len(history.newest(budget, stop))
            prompt = history.prompt(text, history.turns[dropped:stop])
            taken = len(prompt.tokens)
            if taken > limit and dropped < stop:
                budget, cut_short = budget - (taken - goal), True  # the turns are longer than their sizes say
            elif dropped > 0 and budget > 0 and 2 * taken < goal and not cut_short:
                budget = budget * goal // taken  # the template leaves out much of what was said
            else:
                return dropped, prompt

    def reply_room(self, settings: GenerationSettings) -> int:
        """Tokens that a prompt must leave for the reply."""
        return min(settings.max_new_tokens or REPLY_ROOM, REPLY_ROOM, self.context_tokens // 4)

    def outlook(self, settings: GenerationSettings) -> Outlook:
        """What fills the context."""
        turns = self.history.turn_tokens(self.context_tokens)
        kept, drop = sum(turns), 0
        while drop < len(turns) and kept > OVERFLOW_SHARE * self.context_tokens:
            kept -= turns[drop]
            drop += 1
        return Outlook(self.context_tokens, tuple(turns), self.reply_room(settings), drop)

    def count(self, text: str) -> int:
        """Tokens of `text` by itself."""
        return self._tokenizer.count(text)

    def _check(self, text: str, settings: GenerationSettings) -> None:
        """Raise UsageError for a message that is empty, and for a long one that exceeds the context by itself: its ids
        are never held together."""
        if not text.strip():
            raise UsageError("the prompt is empty", "type a message")
        tokens = self._tokenizer.count(text) if len(text) > PIECE else 0
        if tokens > self.context_tokens:
            raise self._too_long(tokens, settings)

    def _too_long(self, tokens: int, settings: GenerationSettings) -> UsageError:
        return UsageError(
            f"the prompt is {tokens} tokens long and the context holds {self.context_tokens}",
            f"shorten it by {counted(tokens + 1 - self.context_tokens, 'token')}",
            self._engine.larger_context(tokens + self.reply_room(settings)),
        )

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
            ends.append(self._run(turn.again(), replace(settings, speculate=speculate), interrupted))
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
        history, context, notes = self.history, self.context_tokens, list[Event]()
        room, turns = self.reply_room(settings), len(history.turns)
        dropped = 0
        prompt: Prompt | None = None
        if not turns or history.turns[-1].prompt or self._seem_to_fit(turns, room):
            prompt = history.prompt(text)
        if prompt is None or (turns and len(prompt.tokens) + room > context):
            dropped, prompt = self._cut(text, turns, room)
        if len(prompt.tokens) + 1 > context:
            raise self._too_long(len(prompt.tokens), settings)
        if dropped:
            history.drop(dropped)
            gone = f"the oldest {counted(dropped, 'turn')} dropped, {len(prompt.tokens)} tokens kept"
            notes.append(Note(f"the conversation outgrew the context ({context} tokens): {gone}"))
        reused = common_prefix(self._cached, prompt.tokens)
        if self.history.turns and not self._cached:
            # After -c and after a worker's death: the texts are here, their keys and values are not.
            notes.append(Note(f"the earlier turns are read anew: 0 of {len(prompt.tokens)} prompt tokens reused"))
        if prompt.rewritten and reused < self.used_tokens:
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
        self, turn: Turn, settings: GenerationSettings, interrupted: Interrupted, started: float, before: Ids = ()
    ) -> Iterator[Event]:
        """`before`: the ids at the end of the prompt that are the beginning of the reply."""
        keep = common_prefix(self._cached, turn.prompt)
        # Until the sequence is closed, only what is certainly in the arena counts as cached.
        self._cached = turn.prompt[:keep]
        sequence = self._engine.open(turn.prompt, settings, row=self._row, keep=keep)
        reply = self._reply_of(turn, sequence, started, before)
        try:
            while reply.finish is None and not interrupted():
                yield from reply.take(self._engine.step([sequence])[0])
            yield from reply.end(self._measure())
        finally:
            reply.keep()
            # Everything but the last of these has keys and values; the engine rolls back what is not committed.
            self._cached = self._engine.close(sequence)

    def _reply_of(self, turn: Turn, sequence: Sequence, started: float, before: Ids = ()) -> Reply:
        writer = ReplyWriter(self._tokenizer, sequence.settings.stop, sequence.eos_ids, before)
        return Reply(turn, sequence, writer, started)

    def begin(self, text: str, settings: GenerationSettings) -> tuple[Reply, list[Event]]:
        """A reply to `text` whose sequence has no row: somebody else runs it, beside others, and calls `conclude`.

        Raises UsageError as `reply` does. The events are notes.
        """
        started = time.perf_counter()
        self._check(text, settings)
        prompt, notes = self._fit(text, settings)
        turn = prompt.turn(text)
        sequence = self._engine.make(turn.prompt, settings)
        self.history.turns.append(turn)
        return self._reply_of(turn, sequence, started), notes

    def conclude(self, reply: Reply) -> Iterator[Event]:
        """The end of a reply from `begin`, while its sequence still has its row."""
        try:
            yield from reply.end(self._measure())
        finally:
            if reply.turn.reply is None:
                self.history.turns.remove(reply.turn)
            self._cached = self._engine.close(reply.sequence)

    def kept_by(self, sequence: Sequence) -> int:
        """How many tokens of a new sequence the row of the one before it holds already."""
        return common_prefix(self._cached, sequence.tokens)
