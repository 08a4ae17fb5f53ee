"""What a step costs on this device, measured at the first start and kept for the next ones."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Rows
from pathlib import Path

import torch

from specmemo_chat import __version__
from specmemo_chat.device.probe import cpu_name
from specmemo_chat.drafters.base import DraftBudget, DraftRow
from specmemo_chat.engine.engine import Engine
from specmemo_chat.memory.contract import NODE_BUCKETS
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation import cost_file
from specmemo_chat.speculation.cost_file import Key, config_hash
from specmemo_chat.speculation.costs import DraftCosts
from specmemo_chat.speculation.pace import sizes
from specmemo_chat.speculation.tree import DraftTree

# Of what loading took, measuring may take this part; a bundled model loads in a second and a half.
_SHARE, _LEAST_S, CALIBRATION_S = 0.1, 0.1, 1.0
_ROUNDS = 3
_PROMPT_TOKENS = 16


class CostRecord:
    """The costs of `engine`'s controller in the cache folder `folder`: taken from there, or measured and written."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self._key = cost_key(engine)
        self._saved = engine.controller.costs.observed

    def load(self, load_s: float) -> str:
        """Call once, before the first sequence, where loading took `load_s` seconds. Returns where the times are from:
        cache, measured, or none (too slow a model for the time there is: they come from the steps themselves)."""
        controller = self._engine.controller
        if cost_file.restore(self._folder, self._key, controller.costs, controller.drafts):
            return "cache"
        measure(self._engine, budget_s=min(CALIBRATION_S, max(_LEAST_S, _SHARE * load_s)))
        if not controller.costs.entries():
            return "none"
        cost_file.save(self._folder, self._key, controller.costs, controller.drafts)
        return "measured"

    def update(self, steps: int = 1) -> None:
        """Write what was refined since, if that many steps were seen."""
        controller = self._engine.controller
        if controller.costs.observed - self._saved >= steps:
            self._saved = controller.costs.observed
            cost_file.save(self._folder, self._key, controller.costs, controller.drafts)


def cost_key(engine: Engine) -> Key:
    """What step times depend on."""
    plan, target = engine.plan, engine.target
    device = torch.device(plan.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()
    draft = (config_hash(Path(plan.draft)) or _hash(b"")) if plan.draft else ""
    return {
        "device": f"{device.type}: {name}",
        "model": config_hash(Path(plan.target)) or _hash(str(target.config).encode()),
        "dtype": f"{plan.dtype}, {target.dtype}",
        "draft": f"{'+'.join(plan.drafters)}, {draft}, {plan.draft_dtype}",
        "workers": str(plan.tp),
        "threads": str(torch.get_num_threads()),
        "versions": f"specmemo {__version__}, torch {torch.__version__}",
    }


def _hash(values: bytes) -> str:
    return hashlib.sha256(values).hexdigest()


def measure(engine: Engine, budget_s: float, clock: Callable[[], float] = time.perf_counter) -> None:
    """Teach the engine's controller the times of verify steps and of the drafter's levels, within about `budget_s`
    seconds: what does not fit into them is left out. The engine holds no sequence, before and after."""
    ends = clock() + budget_s
    try:
        _measure_steps(engine, ends, clock)
        if engine.drafter is not None and engine.drafter.name != "ngram":
            _measure_levels(engine, ends, clock)
    except torch.OutOfMemoryError:
        # Measured is what fits: a step that needs more memory than there is gives up its tree when it comes.
        pass
    finally:
        engine.runner.take_features()
        for row in range(engine.plan.rows):
            engine.release(row)


def _measure_steps(engine: Engine, ends: float, clock: Callable[[], float]) -> None:
    """Every size once to warm up, then in turns, so that a busy moment of the machine hits them all."""
    costs = engine.controller.costs
    for rows, context, wanted in _cases(engine):
        samples: dict[float, list[float]] = {size: [] for size in wanted}
        warming = 2 if engine.plan.graphs else 1
        for turn in range(warming + _ROUNDS):
            for size in wanted:
                longest = max((max(times) for times in samples.values() if times), default=0.0)
                if clock() + longest > ends:
                    break
                started = clock()
                _run(engine, rows, size, context)
                if turn >= warming:  # the first run of a shape prepares kernels, the second a graph
                    samples[size].append(clock() - started)
        view = engine.arena.view_length(range(rows), 1)
        for row in range(rows):
            engine.release(row)
        for size, times in samples.items():
            if len(times) > 1:
                costs.learn(rows, size, view, times)
        if clock() >= ends:
            return


def _cases(engine: Engine) -> Iterator[tuple[int, int, list[float]]]:
    """(rows, committed tokens, sizes) to measure, the most useful first; only contexts that the arena holds now: it
    does not grow for a measurement."""
    plan, controller = engine.plan, engine.controller
    nodes = controller.buckets[-1]
    short, long = 1, min(engine.arena.capacity - nodes, plan.context_tokens)
    # Sizes between two of these are read off them until they are seen.
    single = [size for size in sizes(1, controller.buckets) if size in NODE_BUCKETS]
    yield 1, short, single
    if plan.rows > 1:
        few = [size for size in sizes(plan.rows, controller.buckets) if size in (1.0, 1.5, 2.0, 4.0, 8.0, 16.0)]
        if engine.arena.fits([short + nodes] * plan.rows):
            yield plan.rows, short, few
    if long > 2 * nodes:
        yield 1, long, single


def _run(engine: Engine, rows: int, size: float, context: int) -> None:
    """One verify step of chains over `rows` rows that hold `context` tokens of nothing, up to its tokens."""
    arena = engine.arena
    nodes = int(rows * size)
    for row in range(rows):
        if not arena.lengths[row]:
            arena.extend(row, context)
    shares = [nodes // rows + (row < nodes % rows) for row in range(rows)]
    vocabulary = engine.target.vocab_size
    trees = [
        DraftTree(tuple(node % vocabulary for node in range(count)), tuple(range(-1, count - 1)), (1.0,) * count)
        for count in shares
    ]
    with torch.inference_mode():
        engine.runner.score(range(rows), trees, shares[0]).logits.max(-1).indices.tolist()


class _Stopwatch:
    """A pace that lets a drafter draft whatever the limits allow, and takes the time of its parts."""

    def __init__(self, costs: DraftCosts, clock: Callable[[], float]) -> None:
        self._costs = costs
        self._clock = clock
        self._mark = 0.0
        self._source, self._count = "", 1
        self.counts = False

    def enough(self, tree: DraftTree, source: str) -> bool:
        return False

    def begin(self, source: str, rows: int) -> bool:
        self._source, self._count, self._mark = source, rows, self._clock()
        return True

    def least(self) -> float:
        return 0.0

    def skip(self) -> None:
        pass

    def deeper(self, depth: int, pools: Rows[Rows[float]], frontiers: Rows[Rows[float]], left: int) -> int:
        now = self._clock()
        if self.counts:
            self._costs.observe(self._source, self._count, "begin" if depth == 1 else "level", now - self._mark)
        # One node a row and all of them in turns: a level's time depends on how many it follows.
        followed = 1 if depth % 2 else max(map(len, frontiers))
        self._count = len(frontiers) * followed
        self._mark = now
        return followed


def _measure_levels(engine: Engine, ends: float, clock: Callable[[], float]) -> None:
    """Let the drafter draft after a prompt of nothing: first to warm up."""
    plan, drafter = engine.plan, engine.drafter
    assert drafter is not None
    stopwatch = _Stopwatch(engine.controller.drafts, clock)
    budget = DraftBudget(plan.tree_nodes, plan.tree_depth, plan.tree_width, stopwatch)
    count = min(_PROMPT_TOKENS, plan.context_tokens - 2)
    prompt = [token % engine.target.vocab_size for token in range(count)]
    started = clock()
    sequence = engine.open(prompt, GenerationSettings(max_new_tokens=2))
    while sequence.prefilling:
        engine.step([sequence])
    for counts in (False, False, True) if plan.graphs else (False, True):
        if counts and clock() + (clock() - started) / 2 > ends:
            return
        stopwatch.counts = counts
        drafter.propose([DraftRow(sequence.row, sequence.tokens)], budget)
    engine.close(sequence)
