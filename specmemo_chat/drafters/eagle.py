"""The EAGLE drafter: a head that continues the target's own hidden states, with dynamic trees.

Entry i of the head's keys and values is the pair (feature of token i, token i + 1). A text of n tokens, of which the
target has computed all but the last, so has n - 1 entries; the last one's output says what follows the root. Features
of committed tokens come from the target (`extend`) and wait until the next proposal runs them together; what a tree
adds to the head's keys and values is scratch and is never kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from collections.abc import Sequence as Rows
from dataclasses import dataclass, field

import torch

from specmemo_chat.drafters.base import DraftBudget, DraftRow, FeatureDrafter, FeatureRow
from specmemo_chat.drafters.eagle_graphs import HeadGraphs
from specmemo_chat.drafters.eagle_head import EagleHead
from specmemo_chat.drafters.level_tree import Appended, Scratch, grow
from specmemo_chat.kv.arena import KVArena
from specmemo_chat.memory.contract import Plan
from specmemo_chat.memory.drafts import WAITING_TOKENS
from specmemo_chat.models.target import Target
from specmemo_chat.speculation.tree import DraftTree, Verdict, draft_scratch


@dataclass
class _Row:
    """A row's features that the head has not run yet, each with the token that follows it, and the head's state after
    its last entry (None: not known)."""

    states: list[torch.Tensor] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    last: torch.Tensor | None = None


class EagleDrafter(FeatureDrafter):
    """Implements FeatureDrafter with a head. Its arena holds one layer, `plan.context_tokens` in each row."""

    def __init__(self, head: EagleHead, target: Target, plan: Plan) -> None:
        config = head.config
        self.name: str = config.kind
        self.feature_layers = config.feature_layers(target.layers)
        self.head = head
        self._ends = target.eos_ids
        # The target's tokens for the head's, on the host: a few are looked up at a time.
        self._target_ids = array("q", head.target_ids.tolist())
        self.arena = KVArena(
            1,
            plan.rows,
            config.kv_heads,
            config.head_dim,
            dtype=head.dtype,
            device=head.device,
            limit_tokens=plan.context_tokens,
            growth_tokens=plan.growth_tokens,
            scratch_tokens=draft_scratch(plan.tree_nodes, plan.tree_depth, plan.tree_width),
            allocate_at_load=plan.allocate_at_load,
            slots=plan.draft_slots(draft_scratch(plan.tree_nodes, plan.tree_depth, plan.tree_width)),
            doubling=plan.graphs,
        )
        self._most = plan.prefill_chunk + WAITING_TOKENS
        self.graphs: HeadGraphs | None = None
        if plan.graphs:
            features = len(self.feature_layers) * target.config.hidden_size * target.dtype.itemsize
            self.graphs = HeadGraphs(head, self.arena, plan.rows, plan.tree_width, features)
        self._rows: dict[int, _Row] = {}

    def known(self, row: int) -> int:
        """How many entries the row has, run or waiting."""
        waiting = self._rows.get(row)
        return self.arena.lengths[row] + (len(waiting.tokens) if waiting is not None else 0)

    def extend(self, rows: Rows[FeatureRow]) -> None:
        """Features of newly committed tokens. Raises ValueError where they do not follow those before."""
        for given in rows:
            row, count = given.draft.row, given.states.shape[0]
            if given.start != self.known(row):
                raise ValueError(
                    f"row {row} has features up to position {self.known(row)} and gets those from {given.start} on"
                )
            waiting = self._rows.setdefault(row, _Row())
            waiting.states.append(given.states)
            waiting.tokens.extend(given.draft.tokens[given.start + 1 : given.start + 1 + count])
        # Plain steps cost the head one forward in so many tokens, and no more features than these ever wait.
        if sum(len(waiting.tokens) for waiting in self._rows.values()) >= WAITING_TOKENS:
            self._catch_up([row for row, waiting in self._rows.items() if waiting.tokens])

    def propose(self, rows: Rows[DraftRow], budget: DraftBudget) -> list[DraftTree]:
        """One tree for each row, up to the budget; of the root alone where the budget's pace says that it does not
        pay."""
        numbers = [row.row for row in rows]
        width = min(budget.width, budget.nodes - 1)
        fits = width >= 1 and budget.depth >= 1
        if not fits or (budget.pace is not None and not budget.pace.begin(self.name, len(rows))):
            return [DraftTree.root_only(row.tokens[-1]) for row in rows]
        prepared = self._prepared
        behind = [number for number in numbers if number in self._rows and self._rows[number].tokens]
        if behind:
            self._catch_up(behind)
        if self._prepared != prepared and budget.pace is not None:
            budget.pace.skip()
        with torch.inference_mode():
            order = self.arena.line_up(numbers)
            grown = self._grow([rows[index] for index in order], budget, width)
        trees = dict(zip(order, grown, strict=True))
        return [trees[index] for index in range(len(rows))]

    @property
    def _prepared(self) -> int:
        """How many forwards prepared a graph: what these took does not come again."""
        return self.graphs.prepared if self.graphs is not None else 0

    def _grow(self, rows: Rows[DraftRow], budget: DraftBudget, width: int) -> list[DraftTree]:
        """A tree for each of `rows`, neighbours in the arena, whose committed entries were all run."""
        last = []
        for row in rows:
            entry = self._rows.get(row.row)
            if entry is None or entry.last is None or self.arena.lengths[row.row] != len(row.tokens) - 1:
                raise ValueError(f"row {row.row} was not given the features of its {len(row.tokens) - 1} tokens")
            last.append(entry.last)
        head, arena, graphs, numbers = self.head, self.arena, self.graphs, [row.row for row in rows]
        states = torch.stack(last)[:, None]
        first = head.logits(states)[:, 0]
        scratch = Scratch(arena, numbers, budget.depth - 1, min(width, first.shape[-1]), head.device, head.dtype)
        turns = head.turns(scratch.positions) if graphs is None else None

        def expand(tokens: torch.Tensor, picked: Rows[Rows[int]], straight: bool) -> torch.Tensor:
            nonlocal states
            # A draft has no features of its own nodes: it goes on from its own output at the parent.
            if straight:
                above = states[:, : tokens.shape[1]]
            else:
                at = torch.tensor(picked, device=head.device)
                above = states.gather(1, at[..., None].expand(-1, -1, states.shape[-1]))
            level = scratch.level(picked, straight)
            assert turns is not None
            turned = turns[:, level.number : level.number + 1]
            states = head(tokens.to(head.device), above, turned, arena, level.window, level.mask)
            return head.logits(states)

        def replay(tokens: torch.Tensor, picked: Rows[Rows[int]], straight: bool) -> torch.Tensor:
            assert graphs is not None
            prepared = graphs.prepared
            logits = graphs.level(scratch, numbers, tokens, picked, straight)
            if budget.pace is not None and graphs.prepared != prepared:
                budget.pace.skip()
            return logits

        if graphs is not None:
            graphs.begin(states[:, 0])
        run, roots = expand if graphs is None else replay, [row.tokens[-1] for row in rows]
        return grow(roots, first, run, budget, self.name, self._target_ids, self._ends, graphs is not None)

    def observe(self, rows: Rows[DraftRow], verdicts: Rows[Verdict]) -> None:
        """Nothing to learn: what was accepted comes with its features."""

    def arenas(self) -> Iterable[KVArena]:
        return (self.arena,)

    def graph_problem(self) -> str:
        return self.graphs.problem if self.graphs is not None else ""

    def truncate(self, row: int, length: int) -> None:
        """Keep what the first `length` tokens decide: length - 1 entries. Features come again from there on."""
        entries = max(0, length - 1)
        held = self.arena.lengths[row]
        if not length:
            self.arena.release(row)
        elif entries < held:
            self.arena.truncate(row, entries)
        waiting = self._rows.get(row)
        if waiting is None:
            return
        kept = max(0, entries - held)
        if kept < len(waiting.tokens):
            waiting.tokens = waiting.tokens[:kept]
            waiting.states = [torch.cat(waiting.states)[:kept]] if kept else []
        if not entries or entries < held:
            waiting.last = None

    def _catch_up(self, rows: Rows[int]) -> None:
        """Run the waiting features of `rows` through the head, in one forward, and commit them."""
        head, arena = self.head, self.arena
        rows = sorted(rows, key=arena.place)
        texts = [self._rows[row].tokens for row in rows]
        with torch.inference_mode():
            if self.graphs is not None and self.graphs.reads(texts):
                row, waiting = rows[0], self._waiting(rows, 0)
                self._rows[row] = _Row(last=self.graphs.append(row, texts[0], waiting))
                return
            appended = Appended(arena, rows, texts, head.device, self._most if head.shapes_repeat else 0)
            states = head.states(self._waiting(rows, appended.padding)[None])
            last = head.append(
                appended.tokens,
                states,
                head.turns(appended.positions),
                arena,
                appended.window,
                appended.ends,
                appended.ends_see(head.dtype),
            )
            for row, text, state in zip(rows, texts, last, strict=True):
                arena.extend(row, len(text))
                self._rows[row] = _Row(last=state)

    def _waiting(self, rows: Rows[int], padding: int) -> torch.Tensor:
        """The features of `rows` that wait, behind each other, and the last one's `padding` times more."""
        given = [part for row in rows for part in self._rows[row].states]
        given.extend([given[-1][-1:]] * padding)
        # A prefill chunk's features come in one piece: it is not copied.
        return given[0] if len(given) == 1 else torch.cat(given)
