"""`specmemo train-draft`: starts the process that trains (distill.training) and shows what it reports."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from specmemo_chat.distill.training.settings import TrainingSettings
from specmemo_chat.errors import WorkerError, error_with_exit_code
from specmemo_chat.host.job import JobProcess
from specmemo_chat.host.requests import Load
from specmemo_chat.sizes import counted, format_size
from specmemo_chat.terminal.console import Screen


def train(load: Load, settings: TrainingSettings, parameters: int, screen: Screen) -> dict[str, Any] | None:
    """Run to the end and return the event "done"; None where the user stopped it, with everything saved.

    Raises the error that the process reports, WorkerError where it died without one, KeyboardInterrupt where there is
    nothing to save.
    """
    asked = {
        "plan": load.plan.as_json(),
        "system": load.system,
        "chat_template": load.chat_template,
        "trust_remote_code": load.trust_remote_code,
        "settings": asdict(settings),
    }
    command = [sys.executable, "-m", "specmemo_chat.distill.training"]
    note = "stopping after this step; Ctrl-C once more leaves at once, back at the last checkpoint"
    with JobProcess(command, asked, lambda: screen.note(note)) as process, _bar(screen) as progress:
        task: TaskID | None = None
        stage = ""
        for event in process.lines():
            kind = event["event"]
            if kind == "error":
                raise error_with_exit_code(event["exit_code"], event["message"], event["remedy"])
            if kind in ("replies", "step"):
                process.valuable = True
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
        code, last = process.ended()
    raise WorkerError(
        f"the training process ended with code {code}{last}",
        "run the same command again: it goes on from its last checkpoint",
    )


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
