"""The engine: propose, score, verify, commit, for a list of sequences. A chat is a list of length one."""

from __future__ import annotations

import time
from collections.abc import Sequence as Rows
from typing import Any

import torch

from specmemo_chat.drafters.base import DraftBudget, Drafter, DraftRow, FeatureDrafter, FeatureRow
from specmemo_chat.engine.runner import Runner
from specmemo_chat.engine.sequence import Counts, Sequence, Step
from specmemo_chat.errors import UsageError
from specmemo_chat.events import FinishReason
from specmemo_chat.memory.contract import Plan
from specmemo_chat.models.processors import logits_processors, needs_history
from specmemo_chat.models.target import Target
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation.controller import Controller
from specmemo_chat.speculation.sampling import draw, uniform
from specmemo_chat.speculation.tree import DraftTree, Verdict
from specmemo_chat.speculation.verify import verify


class Engine:
    """Runs the plan's target, with `drafter` or without. Not thread-safe; sequences live in rows 0 to plan.rows - 1.

    `adaptive` False speculates with the largest tree at every step: for measurements.
    """

    def __init__(self, target: Target, drafter: Drafter | None, plan: Plan, *, adaptive: bool = True) -> None:
        self.plan = plan
        self.target = target
        self.drafter = drafter
        self.arena = target.new_arena(
            plan.rows,
            plan.context_tokens,
            plan.growth_tokens,
            plan.tree_nodes,
            allocate_at_load=plan.allocate_at_load,
        )
        self._reader = drafter if isinstance(drafter, FeatureDrafter) and drafter.feature_layers else None
        self.runner = Runner(target, self.arena, self._reader.feature_layers if self._reader is not None else ())
        self.controller = Controller(plan.node_buckets, adaptive=adaptive)
        self._suspended = False
        self._note = ""
        self._budget = DraftBudget(plan.tree_nodes, plan.tree_depth, plan.tree_width)

    def open(self, tokens: Rows[int], settings: GenerationSettings, *, row: int = 0, keep: int = 0) -> Sequence:
        """Start a sequence in `row`. The first `keep` tokens stand in the arena from the sequence before it.

        Raises UsageError where the prompt leaves no room for a token.
        """
        if not tokens:
            raise UsageError("the prompt is empty", "type a message")
        if len(tokens) >= self.plan.context_tokens:
            raise UsageError(
                f"the prompt is {len(tokens)} tokens long and the context holds {self.plan.context_tokens}",
                f"shorten it by {len(tokens) + 1 - self.plan.context_tokens} tokens, or give a larger --ctx-size",
            )
        # The last prompt token is always run: its logits decide the first new token.
        keep = min(keep, len(tokens) - 1, self.arena.lengths[row])
        if self.drafter is not None:
            self.drafter.truncate(row, keep)
        if self._reader is not None:
            # The features of the last kept token are needed once more, beside the token that follows it now; and those
            # that an error kept from the drafter.
            keep = min(max(0, keep - 1), self._reader.known(row))
        self.arena.truncate(row, keep)
        counts = Counts(prompt_tokens=len(tokens), reused_tokens=keep)
        if self.drafter is not None and settings.speculate:
            counts.drafter = self.drafter.name
        return Sequence(list(tokens), row, settings, self.target.eos_ids, keep, counts, prompt_length=len(tokens))

    def close(self, sequence: Sequence) -> list[int]:
        """End `sequence`, at any moment. Returns the tokens whose keys and values stand in its row."""
        sequence.closed = True
        return sequence.tokens[: self.arena.lengths[sequence.row]]

    def step(self, sequences: Rows[Sequence]) -> list[Step]:
        """One chunk of prefill for each sequence that needs it, one verify step for all the others together."""
        steps: dict[int, Step] = {}
        decoding: list[Sequence] = []
        for sequence in sequences:
            if sequence.finished is not None or sequence.closed:
                steps[sequence.row] = Step(finished=sequence.finished)
            elif sequence.prefilling:
                steps[sequence.row] = self._prefill(sequence)
            else:
                decoding.append(sequence)
        if decoding:
            for sequence, step in zip(decoding, self._decode(decoding), strict=True):
                steps[sequence.row] = step
        return [steps[sequence.row] for sequence in sequences]

    def report(self) -> dict[str, Any]:
        """The controller's view of the world, for `/stats`."""
        return self.controller.report()

    def _prefill(self, sequence: Sequence) -> Step:
        start = sequence.prefilled
        end = min(start + self.plan.prefill_chunk, sequence.prompt_length)
        logits = self.runner.prefill(sequence.row, sequence.tokens[start:end])
        sequence.prefilled = end
        step = Step()
        if not sequence.prefilling:
            tree = DraftTree.root_only(sequence.tokens[-1])
            token = self._draw(sequence, tree, logits)[0]
            step = self._append(sequence, (token,), (False,))
        self._hand_over([sequence], [start], [slice(None)])
        return step

    def _decode(self, sequences: list[Sequence]) -> list[Step]:
        rows = [sequence.row for sequence in sequences]
        trees = self._propose(sequences)
        started = time.perf_counter()
        try:
            drawn = self._score(sequences, trees)
        except torch.OutOfMemoryError:
            # Before the reply is lost the tree is: the plain step needs the least memory of all.
            trees = [DraftTree.root_only(sequence.tokens[-1]) for sequence in sequences]
            self._suspend()
            drawn = self._score(sequences, trees)
        verdicts = [verify(tree, tokens) for tree, tokens in zip(trees, drawn, strict=True)]
        self.controller.observe(trees, verdicts, time.perf_counter() - started)
        starts = [self.arena.lengths[row] for row in rows]
        note, self._note = self._note, ""
        steps = []
        for sequence, tree, verdict in zip(sequences, trees, verdicts, strict=True):
            steps.append(self._commit(sequence, tree, verdict, note))
        # An end inside the accepted path commits less than the verdict says.
        counts = [self.arena.lengths[row] - start for row, start in zip(rows, starts, strict=True)]
        paths = [list(verdict.path[:count]) for verdict, count in zip(verdicts, counts, strict=True)]
        self._hand_over(sequences, starts, paths)
        if self.drafter is not None:
            self.drafter.observe([DraftRow(row, s.tokens) for row, s in zip(rows, sequences, strict=True)], verdicts)
        return steps

    def _hand_over(self, sequences: Rows[Sequence], starts: Rows[int], paths: Rows[list[int] | slice]) -> None:
        """Give the drafter the features of the tokens just committed: of sequence i those at `paths[i]` in the last
        forward, which now stand at positions `starts[i]` on."""
        states = self.runner.take_features()
        if self._reader is None or states is None or self._suspended:
            return
        try:
            self._reader.extend(
                [
                    FeatureRow(DraftRow(sequence.row, sequence.tokens), start, states[index, path])
                    for index, (sequence, start, path) in enumerate(zip(sequences, starts, paths, strict=True))
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
        self.controller.drafted(time.perf_counter() - started)
        trees = plain
        for index, draft in zip(asked, drafts, strict=True):
            trees[index] = draft
        return self.controller.choose(trees)

    def _score(self, sequences: list[Sequence], trees: list[DraftTree]) -> list[list[int]]:
        """The target's token after every node, for each row."""
        nodes = self.controller.bucket(max(len(tree) for tree in trees))
        logits = self.runner.score([sequence.row for sequence in sequences], trees, nodes)
        plain = all(sequence.settings.greedy and not needs_history(sequence.settings) for sequence in sequences)
        if plain:
            # One transfer for the whole step.
            tokens: list[list[int]] = logits.argmax(-1).tolist()
            return [row[: len(tree)] for row, tree in zip(tokens, trees, strict=True)]
        return [
            self._draw(sequence, tree, logits[index, : len(tree)])
            for index, (sequence, tree) in enumerate(zip(sequences, trees, strict=True))
        ]

    def _draw(self, sequence: Sequence, tree: DraftTree, logits: torch.Tensor) -> list[int]:
        """The target's token after each node of `tree`; `logits` [nodes, vocab]."""
        settings = sequence.settings
        scores = logits.float()
        processors = logits_processors(settings)
        if processors:
            histories = self._histories(sequence, tree) if needs_history(settings) else torch.empty((len(tree), 0))
            for processor in processors:
                scores = processor(histories.to(scores.device), scores)
        uniforms = None
        if not settings.greedy:
            uniforms = [uniform(settings.seed, len(sequence.tokens) + depth) for depth in tree.depths]
        drawn: list[int] = draw(scores, uniforms).tolist()
        return drawn

    def _histories(self, sequence: Sequence, tree: DraftTree) -> torch.Tensor:
        """The text before each node's draw [nodes, T]. Shorter ones repeat their first token, which changes nothing:
        a penalty looks at which tokens occur."""
        before = sequence.tokens[:-1]
        texts = [before + [tree.tokens[node] for node in tree.path(at)] for at in range(len(tree))]
        longest = max(len(text) for text in texts)
        return torch.tensor([text[:1] * (longest - len(text)) + text for text in texts])

    def _commit(self, sequence: Sequence, tree: DraftTree, verdict: Verdict, note: str) -> Step:
        tokens = verdict.tokens
        room = self.plan.context_tokens - len(sequence.tokens)
        limit = sequence.settings.max_new_tokens
        if limit:
            room = min(room, limit - sequence.new_tokens)
        ends = next((at for at, token in enumerate(tokens) if token in sequence.eos_ids), None)
        kept = min(len(tokens), room, len(tokens) if ends is None else ends + 1)
        # tokens[i] was drawn after path[i]: the last kept token is the next root and has no keys and values yet.
        self.runner.commit(sequence.row, verdict.path[:kept])
        counts = sequence.statistics
        counts.steps += 1
        counts.drafted += len(tree) - 1
        counts.accepted += min(kept, verdict.accepted)
        drafted = tuple(at < verdict.accepted for at in range(kept))
        step = self._append(sequence, tokens[:kept], drafted)
        return Step(step.tokens, step.from_draft, step.finished, note)

    def _append(self, sequence: Sequence, tokens: tuple[int, ...], drafted: tuple[bool, ...]) -> Step:
        sequence.tokens.extend(tokens)
        sequence.statistics.new_tokens += len(tokens)
        sequence.finished = self._finish(sequence)
        return Step(tokens, drafted, sequence.finished)

    def _finish(self, sequence: Sequence) -> FinishReason | None:
        if sequence.tokens[-1] in sequence.eos_ids:
            return "stop"
        limit = sequence.settings.max_new_tokens
        if (limit and sequence.new_tokens >= limit) or len(sequence.tokens) >= self.plan.context_tokens:
            return "length"
        return None
