"""What the head is trained for: the target's own distribution after every token, at every level of its drafts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from specmemo_chat.distill.training.network import HeadNetwork
from specmemo_chat.distill.training.packing import Batch
from specmemo_chat.models.hooks import FeatureTap
from specmemo_chat.models.target import Target

# How much less each further level counts (EAGLE-3's own factor).
_LEVEL_WEIGHT = 0.8


@dataclass
class Score:
    """How a chain of drafted tokens fares on texts of the target: `tried` and `hit` count drafts per level whose parent
    was right, `starts` the places where a chain began."""

    starts: int = 0
    tried: list[int] = field(default_factory=list)
    hit: list[int] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Count `other` too."""
        self.starts += other.starts
        for mine, theirs in ((self.tried, other.tried), (self.hit, other.hit)):
            mine.extend([0] * (len(theirs) - len(mine)))
            for at, count in enumerate(theirs):
                mine[at] += count

    @property
    def acceptance_length(self) -> float:
        """Tokens that one verify step would yield with a chain of this depth, the target's own included."""
        return 1 + sum(self.hit) / self.starts if self.starts else 1.0

    @property
    def per_level(self) -> list[float]:
        """Share of right drafts per level, where those before were right."""
        return [round(hit / tried, 4) if tried else 0.0 for hit, tried in zip(self.hit, self.tried, strict=True)]


class Objective:
    """The loss of a head beside its target. `target_ids` [draft_vocab]: the target's token for each of the head's."""

    def __init__(self, target: Target, network: HeadNetwork, target_ids: torch.Tensor, depth: int) -> None:
        self._target = target
        self._network = network
        self._ids = target_ids
        self._depth = depth
        self._embed = target.model.get_input_embeddings()
        self._tap = FeatureTap(target.model, network.config.feature_layers(target.layers))
        self._known = torch.zeros(target.vocab_size, dtype=torch.bool, device=target_ids.device)
        self._known[target_ids] = True
        self._all = len(target_ids) == target.vocab_size

    def measure(self, batch: Batch, autocast: Any, *, scale: float = 0.0) -> tuple[float, int, Score]:
        """Loss (summed over levels and tokens, weighted), number of wanted tokens, and score of one batch.

        With a `scale` the loss times it is differentiated: gradients add up in the network.
        """
        device = self._ids.device
        tokens, positions, mask = batch.tokens.to(device), batch.positions.to(device), batch.mask.to(device)
        targets = batch.targets.to(device).flatten()
        wanted = (targets >= 0).nonzero()[:, 0]
        with torch.no_grad():
            features, teacher, inside = self._teach(tokens, positions, mask, wanted)
        right = targets[wanted]
        at = positions.flatten()[wanted]
        score = Score()
        total = 0.0
        with torch.set_grad_enabled(scale > 0), autocast():
            alive = torch.zeros(targets.shape, dtype=torch.bool, device=device)
            loss = torch.zeros((), device=device)
            needed, place = self._needed(wanted, at, tokens.shape)
            for level, states in enumerate(
                self._network.levels(tokens, features, positions, mask, self._embed, self._depth, needed)
            ):
                # Entry j - 1 - level says what comes after token j; it must lie in the same text.
                valid = at >= level + 1
                entries = wanted[valid] - level - 1
                flat = states.flatten(0, 1)[place[entries]]
                part, drafted = self._loss(flat, teacher[valid], inside[valid], scale > 0)
                loss = loss + _LEVEL_WEIGHT**level * part
                match = self._ids[drafted] == right[valid]
                if level == 0:
                    score.starts = len(entries)
                    before = torch.ones_like(match)
                else:
                    before = alive[entries]
                score.tried.append(int(before.sum()))
                kept = before & match
                score.hit.append(int(kept.sum()))
                alive = torch.zeros_like(alive)
                alive[entries] = kept
            total = float(loss.detach())
            if scale > 0:
                (loss * scale).backward()  # type: ignore[no-untyped-call]
        return total, len(wanted), score

    def _needed(self, wanted: torch.Tensor, at: torch.Tensor, shape: torch.Size) -> tuple[torch.Tensor, torch.Tensor]:
        """The entries of each row that say something about a wanted token at any level [R, E], shorter rows filled up
        with entry 0; and for every entry of the flattened rows [R · L] its place among those, flattened."""
        rows, length = shape
        needed = torch.zeros(rows * length, dtype=torch.bool, device=wanted.device)
        for level in range(self._depth):
            needed[wanted[at >= level + 1] - level - 1] = True
        needed = needed.view(rows, length)
        counts = needed.sum(1, keepdim=True)
        width = max(1, int(counts.max()))
        # Stable: the needed ones first, in their order.
        entries = (~needed).to(torch.int8).argsort(dim=1, stable=True)[:, :width]
        entries = entries.masked_fill(torch.arange(width, device=wanted.device) >= counts, 0)
        order = needed.cumsum(1) - 1 + width * torch.arange(rows, device=wanted.device)[:, None]
        return entries, order.flatten()

    def _teach(
        self, tokens: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, wanted: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features [R, L, count · hidden]; at the wanted tokens the target's probabilities over the head's vocabulary
        [W, draft_vocab], and whether its first choice is among them."""
        target = self._target
        hidden = target.read(tokens, positions, mask, self._tap)
        features = self._tap.take().to(torch.float32)
        lm_head = target.model.get_output_embeddings()
        logits = lm_head(hidden.flatten(0, 1)[wanted]).float()
        inside = self._known[logits.argmax(-1)]
        return features, (logits if self._all else logits[:, self._ids]).softmax(-1), inside

    def _loss(
        self, states: torch.Tensor, teacher: torch.Tensor, inside: torch.Tensor, differentiate: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross-entropy against `teacher` [N, draft_vocab], summed over the tokens that the head can name, and the
        head's first choices [N]. Of the forward only the states are kept: the logits are the largest tensors of all."""

        def compute(states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = self._network.logits(states).float()
            entropy = -(teacher * functional.log_softmax(logits, -1)).sum(-1)
            return (entropy * inside).sum(), logits.detach().argmax(-1)

        if differentiate:
            loss, drafted = checkpoint(compute, states, use_reentrant=False)
        else:
            loss, drafted = compute(states)
        return loss, drafted
