"""The draft-model drafter: a smaller causal LM with the target's tokenizer proposes the tree (Leviathan et al. 2022,
arXiv 2211.17192; verification here is draw-then-match, see `speculation.verify`)."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Rows

import torch

from specmemo_chat.drafters.base import DraftBudget, Drafter, DraftRow
from specmemo_chat.drafters.level_tree import Appended, Scratch, grow
from specmemo_chat.kv.arena import KVArena
from specmemo_chat.memory.contract import Plan
from specmemo_chat.models.batch import Batch
from specmemo_chat.models.target import Target
from specmemo_chat.speculation.tree import DraftTree, Verdict, draft_scratch


class ModelDrafter(Drafter):
    """Implements Drafter with `draft`, a model of the same tokenizer as `target`.

    Its arena holds every row's tokens up to and including the last root that it was asked about; what is new is read at
    the next proposal, in chunks of at most `plan.prefill_chunk` tokens. A tree's own nodes are scratch.
    """

    name = "model"
    feature_layers: tuple[int, ...] = ()

    def __init__(self, draft: Target, target: Target, plan: Plan) -> None:
        self.draft = draft
        self._ends = target.eos_ids
        # Either model may have rows in its embedding that no token has.
        self._vocab = min(draft.vocab_size, target.vocab_size)
        self._chunk = plan.prefill_chunk
        # What is added to the positions of each row's text (Target.stretch).
        self._stretches = [0] * plan.rows
        self.arena = draft.new_arena(
            plan.rows,
            plan.context_tokens,
            plan.growth_tokens,
            draft_scratch(plan.tree_nodes, plan.tree_depth, plan.tree_width),
            allocate_at_load=plan.allocate_at_load,
            slots=plan.draft_slots(draft_scratch(plan.tree_nodes, plan.tree_depth, plan.tree_width)),
        )

    def propose(self, rows: Rows[DraftRow], budget: DraftBudget) -> list[DraftTree]:
        """One tree for each row, up to the budget; of the root alone where the budget's pace says that it does not
        pay."""
        numbers = [row.row for row in rows]
        width = min(budget.width, budget.nodes - 1)
        fits = width >= 1 and budget.depth >= 1
        if not fits or (budget.pace is not None and not budget.pace.begin(self.name, len(rows))):
            return [DraftTree.root_only(row.tokens[-1]) for row in rows]
        first = self._read(rows)[:, : self._vocab]
        stretches = [self._stretches[row] for row in numbers]
        scratch = Scratch(self.arena, numbers, budget.depth - 1, min(width, self._vocab), self.draft.device)

        def expand(tokens: torch.Tensor, picked: Rows[Rows[int]], straight: bool) -> torch.Tensor:
            level = scratch.level(picked, straight)
            positions = self._turned(level.positions, stretches).expand(tokens.shape)
            given = tokens.to(self.draft.device)
            batch = Batch(numbers, given, positions, level.slots, level.mask, scratch.view)
            logits = self.draft.forward(self.arena, batch)
            return logits[..., : self._vocab]

        return grow([row.tokens[-1] for row in rows], first, expand, budget, self.name, ends=self._ends)

    def observe(self, rows: Rows[DraftRow], verdicts: Rows[Verdict]) -> None:
        """Nothing to learn: the next proposal reads the tokens themselves."""

    def arenas(self) -> Iterable[KVArena]:
        return (self.arena,)

    def truncate(self, row: int, length: int) -> None:
        if not length:
            self.arena.release(row)
        elif length < self.arena.lengths[row]:
            self.arena.truncate(row, length)

    def _read(self, rows: Rows[DraftRow]) -> torch.Tensor:
        """Run what is new of every row; logits [R, vocab] after its last token."""
        for row in rows:
            stretch = self.draft.stretch(len(row.tokens))
            if stretch != self._stretches[row.row]:
                self.truncate(row.row, 0)
                self._stretches[row.row] = stretch
            # The root is always run, read before or not: its logits begin the tree.
            self.truncate(row.row, len(row.tokens) - 1)
            held = self.arena.lengths[row.row]
            # A long text alone; what is left of all rows goes together.
            while len(row.tokens) - held > self._chunk:
                self._run([row.row], [row.tokens[held : held + self._chunk]])
                held += self._chunk
        return self._run([row.row for row in rows], [row.tokens[self.arena.lengths[row.row] :] for row in rows])

    def _run(self, rows: Rows[int], texts: Rows[list[int]]) -> torch.Tensor:
        appended = Appended(self.arena, rows, texts, self.draft.device, self._chunk if self.draft.shapes_repeat else 0)
        # A token that only the target knows cannot be embedded: another one in its place costs at worst a guess.
        tokens = appended.tokens.clamp(max=self.draft.vocab_size - 1)
        stretches = [self._stretches[row] for row, text in zip(rows, texts, strict=True) for _ in text]
        stretches += stretches[-1:] * appended.padding
        positions = self._turned(appended.positions, stretches)
        batch = Batch(rows, tokens, positions, appended.slots, appended.mask, appended.view, appended.packing)
        logits = self.draft.forward(self.arena, batch, logits=appended.ends)
        for row, text in zip(rows, texts, strict=True):
            self.arena.extend(row, len(text))
        return logits[0]

    def _turned(self, positions: torch.Tensor, stretches: Rows[int]) -> torch.Tensor:
        """`positions`, each with its text's stretch."""
        if not any(stretches):
            return positions
        return positions + torch.tensor(stretches, device=positions.device).view(positions.shape)
