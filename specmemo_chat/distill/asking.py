"""`specmemo train-draft`: starts the process that trains (package `distill`) and shows what it reports."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from specmemo_chat.distill.training.settings import TrainingSettings
from specmemo_chat.errors import WorkerError, error_with_exit_code
from specmemo_chat.host.requests import Load
from specmemo_chat.sizes import counted, format_size
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.text import safe_line

_LAST_LINES = 20


class Training:
    """The process that trains. Events are dictionaries with an "event"; the last one is done, stopped or error."""

    def __init__(self, load: Load, settings: TrainingSettings) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "specmemo_chat.distill.training"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            # Ctrl-C is passed on by us, once: the terminal would send it to both.
            start_new_session=True,
        )
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        threading.Thread(target=self._listen, daemon=True).start()
        assert self._process.stdin is not None
        asked = {
            "plan": load.plan.as_json(),
            "system": load.system,
            "chat_template": load.chat_template,
            "trust_remote_code": load.trust_remote_code,
            "settings": asdict(settings),
        }
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        self._said.extend(self._process.stderr)

    def events(self, screen: Screen) -> Iterator[dict[str, Any]]:
        """Every event. Where there is something to save the first Ctrl-C is passed on, which ends in "stopped"; another
        one is raised, as KeyboardInterrupt. Raises the error that the process reports, WorkerError where it died
        without one."""
        assert self._process.stdout is not None
        ended = asked = worth_saving = False
        while True:
            try:
                line = self._process.stdout.readline()
            except KeyboardInterrupt:
                if asked or not worth_saving:
                    raise
                asked = True
                self._process.send_signal(signal.SIGINT)
                screen.note("stopping after this step; Ctrl-C once more leaves at once, back at the last checkpoint")
                continue
            if not line:
                break
            event = json.loads(line)
            if event["event"] == "error":
                raise error_with_exit_code(event["exit_code"], event["message"], event["remedy"])
            ended = event["event"] in ("done", "stopped")
            worth_saving = worth_saving or event["event"] in ("replies", "step")
            yield event
        code = self._process.wait()
        if not ended:
            last = next((line.strip() for line in reversed(self._said) if line.strip()), "it said nothing")
            raise WorkerError(
                f"the training process ended with code {code}: {safe_line(last)}",
                "run the same command again: it goes on from its last checkpoint",
            )

    def __enter__(self) -> Training:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # What is worth keeping it has written, or is asked for before this.
        self._process.kill()
        self._process.wait()


def train(load: Load, settings: TrainingSettings, parameters: int, screen: Screen) -> dict[str, Any] | None:
    """Run to the end and return the event "done"; None where the user stopped it, with everything saved."""
    with Training(load, settings) as training, _bar(screen) as progress:
        task: TaskID | None = None
        stage = ""
        for event in training.events(screen):
            kind = event["event"]
            if kind in ("replies", "step"):
                now, total = (event["done"], event["total"]) if kind == "replies" else (event["step"], event["steps"])
                if kind != stage or task is None:
                    stage, name = kind, "replies of the model" if kind == "replies" else "training"
                    task = progress.add_task(name, total=total, detail="")
                detail = "" if kind == "replies" else f"loss {event['loss']:.3f}"
                progress.update(task, completed=now, detail=detail)
            elif kind == "load":
                screen.note(f"loading {event['model']}")
            elif kind == "train" and event["step"]:
                screen.note(f"going on at step {event['step']} of {event['steps']}")
            elif kind == "data" and event["reply_tokens"] < parameters:
                screen.note(_too_small(event["reply_tokens"], parameters))
            elif kind == "held_out":
                levels = " ".join(f"{share:.2f}" for share in event["per_level"])
                screen.note(
                    f"step {event['step']}: held-out acceptance length {event['acceptance_length']:.2f} "
                    f"(right drafts per level {levels})"
                )
            elif kind == "stopped":
                screen.note(f"stopped at {event['done']} of {event['total']}, all saved: run the same command to go on")
                return None
            elif kind == "done":
                return event
    raise WorkerError("the training process ended without a result", "run the same command again")


def summary(done: dict[str, Any], settings: TrainingSettings) -> dict[str, Any]:
    """What `--json` prints."""
    held_out = done["held_out"]
    return {
        "schema": 1,
        "head": settings.out,
        "kind": "eagle3",
        "steps": done["steps"],
        "tokens": done["tokens"],
        "seconds": done["seconds"],
        "head_bytes": done["head_bytes"],
        "peak_bytes": done["peak_bytes"],
        "held_out": held_out,
        "acceptance_length": held_out[-1]["acceptance_length"] if held_out else None,
    }


def _too_small(tokens: int, parameters: int) -> str:
    return (
        f"the data is small: {tokens:,} tokens of replies for a head of {parameters:,} weights. It will know these "
        "conversations and little else; tens of thousands of them make a head for everyday chat"
    )


def _bar(screen: Screen) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
        console=screen.err,
        disable=screen.quiet or not screen.err.is_terminal,
    )


def describe(done: dict[str, Any], settings: TrainingSettings, model: str) -> str:
    """The sentence at the end."""
    result = summary(done, settings)
    length = result["acceptance_length"]
    held = f", held-out acceptance length {length:.2f} with a chain of {settings.depth}" if length else ""
    return (
        f"{settings.out}: an EAGLE-3 head of {format_size(result['head_bytes'])} "
        f"after {counted(result['steps'], 'step')}{held}. "
        f"Use it: specmemo chat --model {model} --draft {settings.out}"
    )
