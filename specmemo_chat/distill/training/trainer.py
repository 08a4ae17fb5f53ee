"""The training run of a head: steps, schedule, held-out measurement, checkpoints, and the finished head."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from specmemo_chat.distill.training.batches import Batches, split
from specmemo_chat.distill.training.network import HeadNetwork
from specmemo_chat.distill.training.objective import Objective, Score
from specmemo_chat.distill.training.optimizer import Muon
from specmemo_chat.distill.training.replies import Example
from specmemo_chat.distill.training.settings import TrainingSettings
from specmemo_chat.drafters.eagle_config import TARGET_HASH, HeadConfig, parse
from specmemo_chat.drafters.eagle_format import read_head, write_head
from specmemo_chat.errors import UsageError
from specmemo_chat.models.target import Target

Emit = Callable[[dict[str, Any]], None]
_WARM_UP_SHARE, _LONGEST_WARM_UP = 0.1, 50
_MEASUREMENTS = 10
# Muon's rate for the matrices, as a multiple of AdamW's for the rest.
_MATRIX_RATE = 20.0


class Stopped(Exception):
    """The user asked to stop; everything is saved."""


def head_config(target: Target, settings: TrainingSettings, target_hash: str) -> HeadConfig:
    """An EAGLE-3 head of the target's own width, heads and position embedding."""
    values: dict[str, Any] = dict(target.config.to_dict())
    for name in ("layer_types", "sliding_window", "architectures", "qkv_bias"):
        values.pop(name, None)
    values |= {
        "architectures": ["LlamaForCausalLMEagle3"],
        "model_type": "llama",
        "num_hidden_layers": 1,
        "head_dim": target.head_dim,
        "intermediate_size": settings.intermediate,
        "draft_vocab_size": settings.draft_vocab,
        "attention_bias": False,
        "hidden_act": "silu",
        "eagle_aux_hidden_state_layer_ids": list(settings.feature_layers),
        TARGET_HASH: target_hash,
    }
    return parse(values)


def draft_vocabulary(examples: Iterable[Example], size: int, vocabulary: int) -> torch.Tensor:
    """The `size` tokens that the replies use most, ascending [size]; what is left is filled with the lowest ids."""
    if size == vocabulary:
        return torch.arange(size)
    counts: Counter[int] = Counter()
    for example in examples:
        for start, end in example.replies:
            counts.update(example.tokens[start:end])
    chosen = {token for token, _ in counts.most_common(size)}
    rest = (token for token in range(vocabulary) if token not in chosen)
    while len(chosen) < size:
        chosen.add(next(rest))
    return torch.tensor(sorted(chosen))


def rate_at(step: int, steps: int) -> float:
    """The schedule's factor at `step` (from 0): linear warm-up, then a cosine to zero."""
    warm_up = max(1, min(_LONGEST_WARM_UP, int(steps * _WARM_UP_SHARE)))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


class Trainer:
    """One run in `folder` (checkpoint and log); it goes on where an earlier process of the same settings stopped."""

    def __init__(
        self,
        target: Target,
        settings: TrainingSettings,
        examples: dict[int, list[Example]],
        folder: Path,
        target_hash: str,
        emit: Emit,
        stop: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._emit = emit
        self._stop = stop
        training, self._held_out = split(examples)
        if not training:
            raise UsageError("there are no replies to train on", "give more conversations with --data")
        rows = max(1, settings.batch_tokens // settings.row_tokens)
        self._batches = Batches(training, settings.row_tokens, rows, settings.seed)
        self._micro_rows = max(1, settings.micro_tokens // settings.row_tokens)
        self.steps = settings.steps or settings.epochs * self._batches.per_epoch
        self.config = head_config(target, settings, target_hash)
        self.network = HeadNetwork(self.config, settings.seed).to(target.device)
        if settings.start:
            ids = _take(self.network, Path(settings.start))
        else:
            ids = draft_vocabulary(training, settings.draft_vocab, target.vocab_size)
        self._ids = ids.to(target.device)
        if not settings.start:
            self.network.start_from(_rows_of_lm_head(target, self._ids))
        self._objective = Objective(target, self.network, self._ids, settings.depth)
        self._optimizer = Muon(self.network, _MATRIX_RATE * settings.learning_rate, settings.learning_rate)
        self._autocast: Callable[[], Any] = contextlib.nullcontext
        if target.dtype == torch.bfloat16:
            kind = target.device.type
            self._autocast = lambda: torch.autocast(kind, torch.bfloat16)
        self.step = 0
        self.tokens = 0
        self.seconds = 0.0
        self.measured: list[dict[str, Any]] = []
        self._load()

    def _load(self) -> None:
        file = self._folder / "checkpoint.pt"
        if not file.exists():
            return
        try:
            state = torch.load(file, map_location=self._ids.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self._optimizer.load_state_dict(state["optimizer"])
        except (OSError, RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise UsageError(
                f"the checkpoint {file} cannot be read: {str(error).splitlines()[0]}", f"remove {file} to begin again"
            ) from error
        self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]
        self.measured = state["measured"]

    def save(self) -> None:
        """Write the checkpoint; the old one stays until the new one is whole."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "measured": self.measured,
        }
        torch.save(state, self._folder / "checkpoint.new")
        (self._folder / "checkpoint.new").replace(self._folder / "checkpoint.pt")

    def run(self) -> None:
        """Train to the end. Raises Stopped, with all saved, when the user asks."""
        if self.step == 0 and not self.measured:
            self._measure()
        saved = before = time.monotonic()
        every = max(1, self.steps // _MEASUREMENTS)
        log = self._folder / "log.jsonl"
        kept = _entries_before(log, self.step)
        with log.open("w", encoding="utf-8") as file:
            file.writelines(kept)
            while self.step < self.steps:
                entry = self._one_step()
                now = time.monotonic()
                self.seconds, before = self.seconds + now - before, now
                entry["seconds"] = round(self.seconds, 1)
                file.write(json.dumps(entry) + "\n")
                file.flush()
                self._emit({"event": "step", "steps": self.steps, **entry})
                if self.step % every == 0 or self.step == self.steps:
                    self._measure()
                if self._stop() or now - saved > self._settings.save_seconds:
                    self.save()
                    saved = now
                    if self._stop() and self.step < self.steps:
                        raise Stopped
        self.save()

    def _one_step(self) -> dict[str, Any]:
        rate = rate_at(self.step, self.steps)
        rows = self._batches.step(self.step)
        micro = [self._batches.batch(rows[at : at + self._micro_rows]) for at in range(0, len(rows), self._micro_rows)]
        wanted = sum(int((batch.targets >= 0).sum()) for batch in micro)
        score, loss = Score(), 0.0
        for batch in micro:
            part, _, found = self._objective.measure(batch, self._autocast, scale=1 / max(1, wanted))
            loss += part / max(1, wanted)
            score.add(found)
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0))
        self._optimizer.step(rate)
        self.step += 1
        self.tokens += sum(batch.count for batch in micro)
        return {
            "step": self.step,
            "tokens": self.tokens,
            "loss": round(loss, 5),
            "acceptance_length": round(score.acceptance_length, 4),
            "gradient_norm": round(norm, 4),
            "rate": round(rate, 5),
        }

    def _measure(self) -> None:
        """The held-out conversations, without learning from them."""
        if not self._held_out:
            return
        batches = Batches(self._held_out, self._settings.row_tokens, self._micro_rows, 0)
        score, loss, wanted = Score(), 0.0, 0
        for number in range(batches.per_epoch):
            part, count, found = self._objective.measure(batches.batch(batches.step(number)), self._autocast)
            loss, wanted = loss + part, wanted + count
            score.add(found)
        entry = {
            "step": self.step,
            "loss": round(loss / max(1, wanted), 5),
            "acceptance_length": round(score.acceptance_length, 4),
            "per_level": score.per_level,
        }
        self.measured.append(entry)
        self._emit({"event": "held_out", **entry})

    def write(self, folder: Path) -> int:
        """The finished head in `folder`, bf16, in the published layout. Returns its weights' bytes."""
        tensors = {name: weight.detach().to(torch.bfloat16) for name, weight in self.network.tensors().items()}
        if self.config.draft_vocab != self.config.vocab:
            tensors["d2t"] = self._ids.cpu() - torch.arange(self.config.draft_vocab)
        write_head(folder, self.config, tensors)
        return (folder / "model.safetensors").stat().st_size


def _take(network: HeadNetwork, folder: Path) -> torch.Tensor:
    """Give `network` the weights of the head in `folder`; the target's token for each of the head's [draft_vocab].

    Raises UsageError for a variant of EAGLE-3 that is not trained here.
    """
    config, tensors = read_head(folder)
    own = network.tensors()
    same = dataclasses.replace(config, target_hash="", max_context=0)
    if same != dataclasses.replace(network.config, target_hash="", max_context=0) or set(tensors) - set(own) - {"d2t"}:
        raise UsageError(
            f"the head in {folder} is a variant of EAGLE-3 that train-draft does not train", "leave out --start"
        )
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(tensors[name])
    ids = torch.arange(config.draft_vocab)
    return ids + tensors["d2t"] if "d2t" in tensors else ids


def _rows_of_lm_head(target: Target, ids: torch.Tensor) -> torch.Tensor:
    """The target's lm_head weights [len(ids), hidden], fp32, by what it makes of unit vectors: its weight may be packed
    or sharded."""
    lm_head = target.model.get_output_embeddings()
    width = target.config.hidden_size
    columns = []
    with torch.no_grad():
        for start in range(0, width, 256):
            unit = torch.eye(width, device=target.device, dtype=target.dtype)[start : start + 256]
            columns.append(lm_head(unit)[:, ids].float())
    return torch.cat(columns).T.contiguous()


def _entries_before(log: Path, step: int) -> list[str]:
    """The log's lines up to `step`: what came after the last checkpoint is done again."""
    if not log.exists():
        return []
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
