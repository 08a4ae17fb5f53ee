"""What fills the context of a conversation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outlook:
    """In tokens: each turn that is kept, the oldest first, of a context of `context_tokens` in which `reply_room` stay
    free for a reply. `next_drop` of the oldest turns go when the next message does not fit any more."""

    context_tokens: int
    turn_tokens: tuple[int, ...]
    reply_room: int
    next_drop: int = 0

    @property
    def used_tokens(self) -> int:
        return sum(self.turn_tokens)

    @property
    def prompt_room(self) -> int:
        """What a prompt may take at the most."""
        return self.context_tokens - self.reply_room
