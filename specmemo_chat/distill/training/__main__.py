"""The process that trains: `python -m specmemo_chat.distill.training` reads one JSON object from stdin and writes
events to stdout, one JSON object a line. The terminal starts it (distill/asking.py) and shows them; standard input
then is the lifeline (device/lifeline.py)."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

from specmemo_chat.device.lifeline import leave_with_parent
from specmemo_chat.distill.training.data import read_prompts
from specmemo_chat.distill.training.settings import TrainingSettings
from specmemo_chat.errors import SpecmemoError, UsageError
from specmemo_chat.memory import meter
from specmemo_chat.memory.contract import Plan


class _Signals:
    """The first interrupt asks to stop after the step, a second one ends at once."""

    def __init__(self) -> None:
        self.stopping = False
        signal.signal(signal.SIGINT, self._heard)
        signal.signal(signal.SIGTERM, self._heard)

    def _heard(self, number: int, frame: object) -> None:
        if self.stopping:
            os._exit(130)
        self.stopping = True


def main() -> int:
    """Run. Returns the exit code (docs/reference.md)."""
    # Whatever a library prints must not stand between the events.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signals = _Signals()

    def emit(values: dict[str, Any]) -> None:
        events.write(json.dumps(values) + "\n")
        events.flush()

    try:
        asked = json.loads(sys.stdin.readline())
        leave_with_parent()
        return _run(asked, emit, signals)
    except SpecmemoError as error:
        emit({"event": "error", "message": error.message, "remedy": error.remedy, "exit_code": error.exit_code})
        return error.exit_code
    except BrokenPipeError:
        # Nobody listens any more: the terminal's process is gone. What was saved stays.
        return 130
    except OSError as error:
        message = f"{error.filename or 'a file'} cannot be written: {error.strerror}"
        emit({"event": "error", "message": message, "remedy": "free disk space and run again", "exit_code": 1})
        return 1


def _run(asked: dict[str, Any], emit: Any, signals: _Signals) -> int:
    plan = Plan.from_json(asked["plan"])
    settings = TrainingSettings.from_json(asked["settings"])
    folder = Path(settings.out) / "training"
    folder.mkdir(parents=True, exist_ok=True)
    from specmemo_chat.drafters.pairing import weights_hash

    weights = weights_hash(Path(plan.target))
    _check_settings(folder / "settings.json", plan, settings, weights)
    lock = _lock(folder)
    prompts = read_prompts(Path(settings.data), with_replies=settings.keep_replies)
    emit({"event": "load", "model": plan.model})
    from specmemo_chat.models.threads import import_torch

    import_torch()
    import torch

    from specmemo_chat.distill.training.replies import ReplyStore, given_replies, make_replies
    from specmemo_chat.distill.training.trainer import Stopped, Trainer
    from specmemo_chat.drafters import make_drafter
    from specmemo_chat.engine.engine import Engine
    from specmemo_chat.models.loading import load_target
    from specmemo_chat.models.tokenizer import ChatTokenizer, read_template
    from specmemo_chat.settings import GenerationSettings

    tokenizer = ChatTokenizer(plan.target, trust_remote_code=asked["trust_remote_code"])
    template = read_template(asked["chat_template"], tokenizer)
    target = load_target(
        plan.target,
        dtype=plan.dtype,
        compute=plan.kv_dtype,
        device=plan.device,
        trust_remote_code=asked["trust_remote_code"],
    )
    tokenizer.check(template, target.eos_ids)
    with ReplyStore(folder / "replies.jsonl") as store:
        if settings.keep_replies:
            given_replies(tokenizer, template, prompts, store, target.eos_ids, asked["system"])
        else:
            sampling = GenerationSettings(
                temperature=settings.temperature, seed=settings.seed, max_new_tokens=settings.max_new_tokens
            )
            engine = Engine(target, make_drafter(plan, target), plan)
            for done in make_replies(engine, tokenizer, template, prompts, store, sampling, asked["system"]):
                emit({"event": "replies", "done": done, "total": len(prompts)})
                if signals.stopping:
                    emit({"event": "stopped", "stage": "replies", "done": done, "total": len(prompts)})
                    return 130
            # Its arena goes before the training's memory comes.
            del engine
    found = [example for examples in store.examples.values() for example in examples]
    emit({"event": "data", "reply_tokens": sum(end - start for entry in found for start, end in entry.replies)})
    try:
        trainer = Trainer(target, settings, store.examples, folder, weights, emit, lambda: signals.stopping)
        emit({"event": "train", "step": trainer.step, "steps": trainer.steps, "micro_tokens": settings.micro_tokens})
        trainer.run()
    except Stopped:
        emit({"event": "stopped", "stage": "train", "done": trainer.step, "total": trainer.steps})
        return 130
    except torch.OutOfMemoryError as error:
        raise SpecmemoError(
            "the device ran out of memory while training", "give a smaller --batch-tokens or --row-tokens"
        ) from error
    size = trainer.write(Path(settings.out))
    lock.close()
    on_device = torch.cuda.max_memory_allocated() if plan.device.startswith("cuda") else meter.peak_rss_bytes()
    emit(
        {
            "event": "done",
            "steps": trainer.steps,
            "tokens": trainer.tokens,
            "seconds": round(trainer.seconds, 1),
            "head_bytes": size,
            "peak_bytes": on_device,
            "held_out": trainer.measured,
        }
    )
    return 0


def _lock(folder: Path) -> IO[bytes]:
    """The open file that keeps other runs out of `folder` while this process lives. Raises UsageError where one is."""
    file = (folder / "lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            f"another train-draft is running in {folder.parent}", "wait for it, or give another folder with -o"
        ) from error
    return file


def _check_settings(file: Path, plan: Plan, settings: TrainingSettings, weights: str) -> None:
    """Raise UsageError where the folder holds a run of other settings, or for other `weights` of the model (their
    hash): a head goes with the very target that it learnt from."""
    wanted = settings.fingerprint() | {"model": plan.model, "dtype": plan.dtype, "weights": weights}
    if file.exists():
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{file} cannot be read: {error}", "give another folder with -o") from error
        differing = sorted(name for name in wanted if found.get(name) != wanted[name])
        if differing:
            name = differing[0]
            raise UsageError(
                f"{file.parent.parent} holds a run with another {name} ({found.get(name)!r}, now {wanted[name]!r})",
                "give the same flags to go on, or another folder with -o",
            )
        return
    file.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
