"""Loads the model behind the prompt: typing starts at once, the first message waits for what is missing."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from specmemo_chat.errors import SpecmemoError, WorkerError
from specmemo_chat.events import Progress
from specmemo_chat.host.client import ChatClient

# Seconds between two looks at the progress while somebody waits.
TELL_EVERY_S = 0.1


class Loader:
    """One load, in a thread of its own; the client belongs to it until `done`.

    `changed` is called from that thread when it ends; with the error where it failed.
    """

    def __init__(self, client: ChatClient, changed: Callable[[SpecmemoError | None], None]) -> None:
        self._client = client
        self._changed = changed
        self._error: SpecmemoError | None = None
        # The newest that the worker said.
        self.progress = Progress("load", 0, 0)
        self._given_up = threading.Event()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="loader", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for event in self._client.load():
                if isinstance(event, Progress):
                    self.progress = event
        except SpecmemoError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - a thread has nobody above it: shown at the prompt
            self._error = WorkerError(
                f"the model could not be loaded: {type(error).__name__}: {error}", "send a message to try again"
            )
        self._changed(self._error)

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    @property
    def failed(self) -> bool:
        return self.done and self._error is not None

    @property
    def seconds(self) -> float:
        """How long it has been loading."""
        return time.monotonic() - self._started

    def wait(self) -> Iterator[Progress]:
        """Progress until the model is loaded. Raises what loading raised, and KeyboardInterrupt after `give_up`."""
        while not self.done:
            self._thread.join(timeout=TELL_EVERY_S)
            if self._given_up.is_set():
                self._given_up.clear()
                raise KeyboardInterrupt
            if not self.done:
                yield self.progress
        if self._error is not None:
            raise self._error

    def give_up(self) -> None:
        """Whoever waits now shall wait no longer; the load itself goes on. From any thread."""
        self._given_up.set()

    def end(self) -> None:
        """Stop loading and wait for the thread."""
        self._client.close()
        with contextlib.suppress(RuntimeError):
            self._thread.join(timeout=10)
