"""Many conversations at once, each answered turn by turn in a row of its own."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from specmemo_chat.chat.conversation import Conversation
from specmemo_chat.chat.reply import Reply
from specmemo_chat.chat.task import Task
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.scheduler import Scheduler
from specmemo_chat.engine.sequence import Sequence, Step
from specmemo_chat.errors import SpecmemoError
from specmemo_chat.events import Answered, BatchProgress, ReplyEnd
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation.sampling import row_seed


@dataclass
class _Talk:
    """A task in work."""

    task: Task
    conversation: Conversation
    settings: GenerationSettings
    reply: Reply
    ends: list[ReplyEnd] = field(default_factory=list)


class ConversationBatch:
    """Answers tasks in the rows of `engine`; `converse` makes a conversation without turns."""

    def __init__(self, engine: Engine, converse: Callable[[], Conversation]) -> None:
        self._scheduler = Scheduler(engine)
        self._converse = converse
        self._talks: dict[Sequence, _Talk] = {}
        self._tokens = 0

    @property
    def parked(self) -> int:
        """How often a conversation had to give its row up for a while."""
        return self._scheduler.parked

    def run(
        self, tasks: Iterable[Task], settings: GenerationSettings, interrupted: Callable[[], bool] = lambda: False
    ) -> Iterator[Answered | BatchProgress]:
        """One Answered for each task, in the order in which they end, and a BatchProgress after every step.

        A task that cannot be answered gets an error; the others go on. After an interrupt those without an Answered are
        unanswered.
        """
        waiting = deque(tasks)
        scheduler = self._scheduler
        try:
            while waiting or self._talks:
                if interrupted():
                    return
                # The next one in line is made ready, no more: their texts are read when they are needed.
                while waiting and not scheduler.waiting:
                    yield from self._begin(waiting.popleft(), settings)
                    scheduler.admit()
                for sequence, step in scheduler.step():
                    yield from self._take(self._talks[sequence], step)
                yield BatchProgress(
                    running=[self._talks[sequence].task.number for sequence in scheduler.running],
                    waiting=len(waiting) + len(scheduler.waiting),
                    parked=scheduler.parked,
                    tokens=self._tokens,
                )
        finally:
            for sequence in list(self._talks):
                scheduler.leave(sequence)
            self._talks.clear()

    def _begin(self, task: Task, settings: GenerationSettings) -> Iterator[Answered]:
        seed = task.seed if task.seed is not None else row_seed(settings.seed, task.number - 1)
        try:
            settings = GenerationSettings.from_json({**settings.as_json(), **task.sampling, "seed": seed})
            conversation = self._converse()
            conversation.restore(task.before, task.system or conversation.history.system)
            reply, _ = conversation.begin(task.turns[0], settings)
        except Exception as error:  # noqa: BLE001 - no conversation may end another one
            yield Answered(task.number, error=_told(error))
            return
        self._talks[reply.sequence] = _Talk(task, conversation, settings, reply)
        self._scheduler.add(reply.sequence)

    def _take(self, talk: _Talk, step: Step) -> Iterator[Answered]:
        old, error = talk.reply, ""
        self._tokens += len(step.tokens)
        try:
            following = self._advance(talk, step)
        except Exception as failure:  # noqa: BLE001 - no conversation may end another one
            following, error = None, _told(failure)
        if following is old:
            return
        del self._talks[old.sequence]
        if following is not None:
            talk.reply = following
            self._talks[following.sequence] = talk
            kept = talk.conversation.kept_by(following.sequence)
            self._scheduler.follow(following.sequence, old.sequence, kept)
            return
        self._scheduler.leave(old.sequence)
        yield Answered(talk.task.number, [end.text for end in talk.ends], [end.stats for end in talk.ends], error)

    def _advance(self, talk: _Talk, step: Step) -> Reply | None:
        """The reply that the conversation makes from now on, its own or the next turn's; None where it is over."""
        reply = talk.reply
        for _ in reply.take(step):
            continue  # nobody watches these replies grow
        if reply.finish is None:
            return reply
        talk.ends += [event for event in talk.conversation.conclude(reply) if isinstance(event, ReplyEnd)]
        if len(talk.ends) == len(talk.task.turns):
            return None
        return talk.conversation.begin(talk.task.turns[len(talk.ends)], talk.settings)[0]


def _told(error: Exception) -> str:
    """What the user is told of a conversation's error; the worker's log has the place of one that nobody foresaw."""
    if isinstance(error, SpecmemoError):
        return error.message
    traceback.print_exception(error)
    return f"internal error: {type(error).__name__}: {error}"
