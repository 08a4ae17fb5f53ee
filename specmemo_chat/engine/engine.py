"""The engine: propose, score, verify, commit, for a list of sequences. A chat is a list of length one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from collections.abc import Sequence as Rows
from dataclasses import replace

import torch

from specmemo_chat.drafters.base import DraftBudget, Drafter, DraftRow, FeatureDrafter, FeatureRow
from specmemo_chat.engine.loops import LoopWatch
from specmemo_chat.engine.reading import Reading
from specmemo_chat.engine.runner import Runner
from specmemo_chat.engine.sampler import next_tokens
from specmemo_chat.engine.sequence import NO_ROW, Counts, Sequence, Step
from specmemo_chat.errors import Flag, UsageError
from specmemo_chat.events import FinishReason
from specmemo_chat.kv.arena import KVArena
from specmemo_chat.memory.contract import Plan
from specmemo_chat.models.target import Target
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.sizes import counted
from specmemo_chat.speculation.controller import Controller
from specmemo_chat.speculation.report import GraphReport, SpeculationReport
from specmemo_chat.speculation.tree import DraftTree, Verdict
from specmemo_chat.speculation.verify import verify


class Engine:
    """Runs the plan's target, with `drafter` or without. Not thread-safe; sequences live in rows 0 to plan.rows - 1.

    `adaptive` False speculates with the largest tree at every step: for measurements. `controller`: one of the caller's
    own, in place of that.
    """

    def __init__(
        self,
        target: Target,
        drafter: Drafter | None,
        plan: Plan,
        *,
        adaptive: bool = True,
        controller: Controller | None = None,
    ) -> None:
        self.plan = plan
        self.target = target
        self.drafter = drafter
        self.arena = target.new_arena(
            plan.rows,
            plan.context_tokens,
            plan.growth_tokens,
            plan.tree_nodes,
            allocate_at_load=plan.allocate_at_load,
            slots=plan.kv_slots,
            doubling=plan.graphs,
        )
        self._reader = drafter if isinstance(drafter, FeatureDrafter) and drafter.feature_layers else None
        self.runner = Runner(
            target,
            self.arena,
            self._reader.feature_layers if self._reader is not None else (),
            most=max(plan.prefill_chunk, plan.rows * plan.tree_nodes),
            graphed=plan.rows * plan.tree_nodes if plan.graphs else 0,
        )
        self._readings = [Reading(plan.prefill_chunk) for _ in range(plan.rows)]
        self.controller = controller or Controller(plan.node_buckets, adaptive=adaptive)
        self._suspended = False
        self._note = ""
        # Seconds of this step in which its trees were cut to a size: no drafting, so they count to the rest of it.
        self._choosing = 0.0
        pace = self.controller.pace if self.controller.adaptive else None
        self._budget = DraftBudget(min(plan.tree_nodes, target.most), plan.tree_depth, plan.tree_width, pace)

    def open(self, tokens: Rows[int], settings: GenerationSettings, *, row: int = 0, keep: int = 0) -> Sequence:
        """Start a sequence in `row`. The first `keep` tokens are those that `close` gave for the one before it.

        Raises UsageError where the prompt leaves no room for a token.
        """
        sequence = self.make(tokens, settings)
        self.seat(sequence, row, keep)
        return sequence

    def make(self, tokens: Rows[int], settings: GenerationSettings) -> Sequence:
        """A sequence that has no row yet. Raises UsageError where the prompt leaves no room for a token."""
        if not tokens:
            raise UsageError("the prompt is empty", "type a message")
        if len(tokens) >= self.plan.context_tokens:
            raise UsageError(
                f"the prompt is {counted(len(tokens), 'token')} long and the context holds {self.plan.context_tokens}",
                f"shorten it by {counted(len(tokens) + 1 - self.plan.context_tokens, 'token')}",
                self.larger_context(len(tokens) + 1),
            )
        counts = Counts(prompt_tokens=len(tokens))
        if self.drafter is not None and settings.speculate:
            counts.drafter = self.drafter.name
        loop = LoopWatch() if settings.stop_loops else None
        eos = self.target.eos_ids
        return Sequence(list(tokens), NO_ROW, settings, eos, counts, prompt_length=len(tokens), loop=loop)

    def larger_context(self, tokens: int) -> Flag | None:
        """The flag that gives the context at least so many tokens; None where the model was made for fewer."""
        most = getattr(self.target.config, "max_position_embeddings", None) or tokens
        return Flag("--ctx-size", str(min(-(-tokens // 64) * 64, most))) if tokens <= most else None

    def seat(self, sequence: Sequence, row: int, keep: int = 0) -> None:
        """Give a sequence that has none a row: a new one, or one that was parked. `keep` as in `open`."""
        fresh = not sequence.new_tokens
        # Of a new text the last token is always run: its logits decide the next. Of a parked one it is the next root.
        sequence.goal = len(sequence.tokens) - (not fresh)
        stretch = self.target.stretch(len(sequence.tokens))
        # Keys that were turned by the factors for another length are no part of this text.
        keep = keep if stretch == self.runner.stretches[row] else 0
        self.runner.stretches[row] = stretch
        common = min(keep, len(sequence.tokens) - 1)
        if sequence.reading is None:
            stands = self._readings[row].resume(keep, min(common, self.arena.lengths[row]))
        else:
            self._readings[row], sequence.reading, stands = sequence.reading, None, 0
        common = min(common, stands + 1)
        if self.drafter is not None:
            self.drafter.truncate(row, common)
        sequence.row, sequence.prefilled = row, stands
        self.arena.truncate(row, stands)
        if self._reader is not None:
            # The features of the last common token are needed once more, beside the token that follows it now; and
            # those that an error kept from the drafter.
            sequence.prefilled = min(stands, max(0, common - 1), self._reader.known(row))
        if fresh:
            sequence.statistics.reused_tokens = sequence.prefilled

    def park(self, sequence: Sequence) -> None:
        """Take the row from a sequence and drop its keys and values; `seat` computes them again. Its text stays as it
        would have been: it is read again as it was read."""
        row = sequence.row
        sequence.reading, self._readings[row].stood = self._readings[row], self.arena.lengths[row]
        self.release(row)
        sequence.row, sequence.prefilled = NO_ROW, 0

    def release(self, row: int) -> None:
        """Forget what stands in `row`."""
        if self.drafter is not None:
            self.drafter.truncate(row, 0)
        self._readings[row] = Reading(self.plan.prefill_chunk)
        self.arena.release(row)

    def fits(self, sequences: Rows[Sequence], entering: Sequence | None = None, room: int = 0) -> bool:
        """Whether the arena can hold the next step of all these at once, and `room` tokens more of one `entering`."""
        context, scratch = self.plan.context_tokens, self.plan.tree_nodes
        needs = [min(len(sequence.tokens), context) + scratch for sequence in sequences]
        if entering is not None:
            needs.append(min(len(entering.tokens) + room, context) + scratch)
        return self.arena.fits(needs)

    def close(self, sequence: Sequence) -> list[int]:
        """End `sequence`, at any moment. Returns the tokens whose keys and values stand in its row, and the one after
        them: if a new text has that too, a draft head needs none of them again."""
        sequence.closed = True
        if sequence.row == NO_ROW:
            return []
        return sequence.tokens[: self.arena.lengths[sequence.row] + 1]

    def step(self, sequences: Rows[Sequence]) -> list[Step]:
        """One verify step for all sequences that are prefilled together, and a piece of the prompt for each other one,
        or, while some decode, for the first of these. Each is a forward of its own: what a row computes does not depend
        on the others."""
        steps: dict[Sequence, Step] = {}
        active = [sequence for sequence in sequences if sequence.finished is None and not sequence.closed]
        for sequence in active:
            if self.target.stretch(len(sequence.tokens)) != self.runner.stretches[row := sequence.row]:
                self.park(sequence)
                sequence.reading = None
                self.seat(sequence, row)
        decoding = [sequence for sequence in active if not sequence.prefilling]
        entering = [sequence for sequence in active if sequence.prefilling]
        if decoding:
            decoding = [decoding[index] for index in self.arena.in_order([sequence.row for sequence in decoding])]
            steps.update(self._decode(decoding))
        for sequence in entering[:1] if decoding else entering:
            steps[sequence] = self._prefill(sequence)
        return [steps.get(sequence) or Step(finished=sequence.finished) for sequence in sequences]

    def arenas(self) -> Iterator[KVArena]:
        """The target's arena and those of drafts with weights."""
        yield self.arena
        if self.drafter is not None:
            yield from self.drafter.arenas()

    def shrink(self) -> None:
        """Give back what the arenas grew to, where no row is held."""
        for arena in self.arenas():
            arena.shrink()

    def report(self) -> SpeculationReport:
        """The controller's view of the world, and what became of CUDA graphs, where the plan has them."""
        graphs = self.runner.graphs
        found = GraphReport(graphs.captured, self.graph_problem) if graphs is not None else None
        return replace(self.controller.report(), graphs=found)

    @property
    def graph_problem(self) -> str:
        """Why steps run without the CUDA graphs that the plan has; "" where they do not."""
        own = self.runner.graphs.problem if self.runner.graphs is not None else ""
        return own or (self.drafter.graph_problem() if self.drafter is not None else "")

    def _prefill(self, sequence: Sequence) -> Step:
        """The next piece of one sequence, alone."""
        start, row = sequence.prefilled, sequence.row
        # What stands there is read for its features alone.
        behind, stepped = max(0, self.arena.lengths[row] - start), False
        if behind:
            count = min(self.plan.prefill_chunk, behind)
        else:
            count, stepped = self._readings[row].next(start, sequence.goal)
        tokens = sequence.tokens[start : start + count]
        if stepped:
            self.runner.repeat(row, tokens)
        else:
            logits = self.runner.prefill(row, tokens, behind=behind)
        sequence.prefilled += count
        step = Step()
        if not sequence.prefilling and not sequence.new_tokens:
            drawn = next_tokens((sequence,), (DraftTree.root_only(sequence.tokens[-1]),), logits)[0]
            if sequence.loop is not None:
                sequence.loop.take(drawn)
            step = self._append(sequence, tuple(drawn), (False,))
        self._hand_over([sequence], [start], [slice(None, count)], (0,))
        return step

    def _decode(self, sequences: list[Sequence]) -> dict[Sequence, Step]:
        """One verify step of `sequences`."""
        rows = [sequence.row for sequence in sequences]
        self.controller.aim(len(rows), self.arena.view_length(rows, 1))
        self._choosing = 0.0
        trees = self._propose(sequences)
        started, prepared = time.perf_counter(), self.runner.prepared
        try:
            drawn, offsets = self._score(sequences, trees)
        except torch.OutOfMemoryError:
            # Before the reply is lost the tree is: the plain step needs the least memory of all.
            trees = [DraftTree.root_only(sequence.tokens[-1]) for sequence in sequences]
            self._suspend()
            drawn, offsets = self._score(sequences, trees)
        verdicts = [verify(tree, tokens) for tree, tokens in zip(trees, drawn, strict=True)]
        verified = time.perf_counter()
        starts = [self.arena.lengths[row] for row in rows]
        note, self._note = self._note, ""
        kept = [self._kept(sequence, verdict) for sequence, verdict in zip(sequences, verdicts, strict=True)]
        # tokens[i] was drawn after path[i]: the last kept token is the next root and has no keys and values yet.
        paths = [list(verdict.path[:count]) for verdict, count in zip(verdicts, kept, strict=True)]
        self.runner.commit(rows, paths)
        steps = {
            sequence: self._accept(sequence, tree, verdict, count, note)
            for sequence, tree, verdict, count in zip(sequences, trees, verdicts, kept, strict=True)
        }
        self._hand_over(sequences, starts, paths, offsets)
        if self.drafter is not None:
            self.drafter.observe([DraftRow(row, s.tokens) for row, s in zip(rows, sequences, strict=True)], verdicts)
        # A step that prepared a graph says nothing about the time of one that does not.
        seconds, rest = verified - started, time.perf_counter() - verified + self._choosing
        if self.runner.prepared != prepared:
            seconds = rest = 0.0
        self.controller.observe(trees, verdicts, seconds, rest)
        return steps

    def _hand_over(
        self, sequences: Rows[Sequence], starts: Rows[int], paths: Rows[list[int] | slice], offsets: Rows[int]
    ) -> None:
        """Give the drafter the features of the tokens just committed: of sequence i those at `paths[i]` behind
        `offsets[i]` in the last forward, which now stand at positions `starts[i]` on."""
        states = self.runner.take_features()
        if self._reader is None or states is None or self._suspended:
            return
        try:
            self._reader.extend(
                [
                    FeatureRow(DraftRow(sequence.row, sequence.tokens), start, own)
                    for sequence, start, own in zip(sequences, starts, _taken(states, offsets, paths), strict=True)
                ]
            )
        except torch.OutOfMemoryError:
            self._suspend()

    def _suspend(self) -> None:
        """Draft no more: the device has no memory for it. The drafter falls behind for good."""
        self._suspended = True
        self._note = "the device ran out of memory: the reply goes on with plain decoding"
        self.controller.suspend()

    def _propose(self, sequences: list[Sequence]) -> list[DraftTree]:
        plain = [DraftTree.root_only(sequence.tokens[-1]) for sequence in sequences]
        if self.drafter is None or self._suspended:
            return plain
        asked = [index for index, sequence in enumerate(sequences) if sequence.settings.speculate]
        if not asked:
            return plain
        started = time.perf_counter()
        try:
            drafts = self.drafter.propose(
                [DraftRow(sequences[i].row, sequences[i].tokens) for i in asked], self._budget
            )
        except torch.OutOfMemoryError:
            self._suspend()
            return plain
        drafted = time.perf_counter()
        self.controller.drafted(drafted - started)
        trees = plain
        for index, draft in zip(asked, drafts, strict=True):
            trees[index] = draft
        chosen = self.controller.choose(trees)
        self._choosing = time.perf_counter() - drafted
        return chosen

    def _score(self, sequences: list[Sequence], trees: list[DraftTree]) -> tuple[list[list[int]], tuple[int, ...]]:
        """For each row the target's token after every node, and where it begins in the forward."""
        nodes = self.controller.bucket(max(len(tree) for tree in trees))
        exact = any(sequence.settings.exact for sequence in sequences)
        scores = self.runner.score([sequence.row for sequence in sequences], trees, nodes, exact=exact)
        return next_tokens(sequences, trees, scores.logits), scores.starts

    def _kept(self, sequence: Sequence, verdict: Verdict) -> int:
        """How many of the verdict's tokens count: the reply may end inside the accepted path. Asked once a verdict."""
        tokens = verdict.tokens
        room, length = len(tokens), len(sequence.tokens)
        room = min(room, self.plan.context_tokens - length, self.target.drawable(length))
        if limit := sequence.settings.max_new_tokens:
            room = min(room, limit - sequence.new_tokens)
        ends = next((at for at, token in enumerate(tokens) if token in sequence.eos_ids), None)
        kept = room if ends is None else min(room, ends + 1)
        return kept if sequence.loop is None else sequence.loop.take(tokens[:kept])

    def _accept(self, sequence: Sequence, tree: DraftTree, verdict: Verdict, kept: int, note: str) -> Step:
        counts = sequence.statistics
        counts.steps += 1
        counts.drafted += len(tree) - 1
        counts.accepted += min(kept, verdict.accepted)
        drafted = tuple(at < verdict.accepted for at in range(kept))
        step = self._append(sequence, verdict.tokens[:kept], drafted)
        return Step(step.tokens, step.from_draft, step.finished, note)

    def _append(self, sequence: Sequence, tokens: tuple[int, ...], drafted: tuple[bool, ...]) -> Step:
        sequence.tokens.extend(tokens)
        sequence.statistics.new_tokens += len(tokens)
        sequence.finished = self._finish(sequence)
        return Step(tokens, drafted, sequence.finished)

    def _finish(self, sequence: Sequence) -> FinishReason | None:
        if sequence.tokens[-1] in sequence.eos_ids:
            return "stop"
        if sequence.loop is not None and sequence.loop.found:
            return "loop"
        limit = sequence.settings.max_new_tokens
        if (limit and sequence.new_tokens >= limit) or len(sequence.tokens) >= self.plan.context_tokens:
            return "length"
        return None


def _taken(states: torch.Tensor, offsets: Rows[int], paths: Rows[list[int] | slice]) -> Rows[torch.Tensor]:
    """The features at `paths[i]` behind `offsets[i]`. Of trees always copies: a view would keep those of all nodes."""
    if states.device.type != "cpu" and len(paths) > 1:
        # One call for all rows.
        wanted = [list(range(path.stop)) if isinstance(path, slice) else path for path in paths]
        index = [offset + node for offset, path in zip(offsets, wanted, strict=True) for node in path]
        taken = states.index_select(0, torch.tensor(index, device=states.device))
        return list(torch.split(taken, [len(path) for path in wanted]))
    return [_one_taken(states, offset, path) for offset, path in zip(offsets, paths, strict=True)]


def _one_taken(states: torch.Tensor, offset: int, path: list[int] | slice) -> torch.Tensor:
    if isinstance(path, slice):
        return states[offset:][path]
    count = len(path)
    if path[-1] == count - 1:
        return states[offset : offset + count].clone()
    return states.index_select(0, torch.tensor([offset + node for node in path], device=states.device))
