"""Stop strings in a stream of text pieces."""

from __future__ import annotations

from collections.abc import Sequence


class StopMatcher:
    """Lets text through up to the first of `stops`; what could be the beginning of one is held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = False

    def follow(self, text: str) -> int:
        """Begin behind `text`, which was let through already: so many characters at its end may begin a stop text, and
        come again with what follows."""
        self._held = text
        keep = max((self._overlap(stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return keep

    def push(self, text: str) -> str:
        """The text that is certain to be shown now. After a stop text nothing more is let through."""
        if self.stopped:
            return ""
        self._held += text
        found = [at for at in (self._held.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.stopped = True
            visible, self._held = self._held[: min(found)], ""
            return visible
        keep = max((self._overlap(stop) for stop in self._stops), default=0)
        cut = len(self._held) - keep
        visible, self._held = self._held[:cut], self._held[cut:]
        return visible

    def flush(self) -> str:
        """What was held back, at the end of the text."""
        visible, self._held = self._held, ""
        return visible

    def _overlap(self, stop: str) -> int:
        """Length of the longest end of the held text that begins `stop`."""
        for size in range(min(len(stop) - 1, len(self._held)), 0, -1):
            if self._held.endswith(stop[:size]):
                return size
        return 0
