"""Which events go over the link in one message.

A message wakes the terminal's process, and takes half a millisecond of processor time there and here, five times what
it takes in a loop (cold caches, presumably): the steps of a small model miss it. So text that comes faster than anybody
sees waits for more of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from specmemo_chat.events import Event, Text

# Seconds that text waits for more: the terminal draws no more than 20 frames a second.
TEXT_WAITS_S = 0.05
# Of the usual pause between two pieces of text the newest one makes so much.
_NEWEST = 0.25


def coalesced(answer: Iterator[Event], clock: Callable[[], float] = time.monotonic) -> Iterator[list[Event]]:
    """The events in their order, in lists that are to be sent at once; adjacent text of one origin becomes one event.

    The first text goes at once, and so does all text of a slow model: what waits, waits for the next step's end.
    Everything that is no text goes at once too, with what waited before it.
    """
    held: list[Event] = []
    sent = float("-inf")
    came: float | None = None
    pause = 0.0
    for event in answer:
        now = clock()
        held.append(event)
        if isinstance(event, Text):
            if came is not None:
                pause += (now - came - pause) * _NEWEST
            came = now
            if now - sent < TEXT_WAITS_S and pause < TEXT_WAITS_S / 2:
                continue
        else:
            came = None  # between this and the next text is more than a step
        yield _joined(held)
        held, sent = [], now


def _joined(events: list[Event]) -> list[Event]:
    joined: list[Event] = []
    for event in events:
        last = joined[-1] if joined else None
        if isinstance(event, Text) and isinstance(last, Text) and event.from_draft == last.from_draft:
            joined[-1] = Text(last.text + event.text, last.from_draft)
        else:
            joined.append(event)
    return joined
