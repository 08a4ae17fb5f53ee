"""Steps as graphs: the bookkeeping on a CPU, where "capturing" a call keeps it and "replaying" calls it again.

What is tested so is that a call depends on its inputs alone, that shapes, growth and eviction are followed, and that
texts stay the same. tests/gpu captures for real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest
import torch

from specmemo_chat.drafters.base import Drafter
from specmemo_chat.drafters.eagle import EagleDrafter
from specmemo_chat.drafters.eagle_head import load_head
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.scheduler import Scheduler
from specmemo_chat.memory.contract import Plan
from specmemo_chat.models import graphs
from specmemo_chat.models.graphs import GraphPool, Tensors
from specmemo_chat.models.target import Target
from specmemo_chat.settings import GenerationSettings
from tests.heads import write_eagle, write_eagle3
from tests.models import generate, prompts, random_model, target_of, tiny_plan

Make = Callable[[Plan], Drafter]


class Recording:
    """In place of a CUDA graph."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.replay = call


class Recorder:
    """In place of the one that captures."""

    def __init__(self, device: torch.device) -> None:
        pass

    def record(self, call: Callable[[], None]) -> Recording:
        # A capture calls once, and nothing runs yet.
        call()
        return Recording(call)


class Refusing(Recorder):
    def record(self, call: Callable[[], None]) -> Recording:
        raise torch.OutOfMemoryError("no memory\nand a trace")


@pytest.fixture(autouse=True)
def recorder() -> Iterator[None]:
    with patch.object(graphs, "_Recorder", Recorder):
        yield


def pool(kept: int = 4) -> GraphPool:
    return GraphPool(torch.device("cpu"), (64, 64), (64,), kept)


def double(inputs: Tensors) -> Tensors:
    return (inputs[0] * 2 + inputs[1],)


def test_the_second_time_a_shape_comes_it_is_captured() -> None:
    own, calls = pool(), []

    def call(inputs: Tensors) -> Tensors:
        calls.append(inputs)
        return double(inputs)

    for turn, captured in enumerate((0, 1, 1)):
        given = torch.full((2, 2), turn), torch.ones(2, 2, dtype=torch.long)
        (out,) = own.run("a", 0, call, given)
        assert own.captured == captured
        assert torch.equal(out, torch.full((2, 2), 2 * turn + 1))
    # From then on it reads where it was captured to read, and not what it is given.
    assert calls[1][0].data_ptr() == calls[2][0].data_ptr()


def test_graphs_are_forgotten_where_memory_moved_and_where_there_are_too_many() -> None:
    own = pool(kept=2)
    given = torch.ones(2), torch.ones(2)
    for key in ("a", "a", "b", "b"):
        own.run(key, 0, double, given)
    assert own.captured == 2
    own.run("c", 0, double, given)
    assert own.captured == 1
    own.run("b", 1, double, given)
    assert own.captured == 0


def test_what_does_not_fit_the_buffers_stays_eager() -> None:
    own = pool()
    large = torch.ones(100), torch.ones(100)
    for _ in range(3):
        (out,) = own.run("large", 0, double, large)
        assert torch.equal(out, torch.full((100,), 3.0))
    assert own.captured == 0
    assert not own.problem


def test_a_capture_that_fails_ends_capturing_and_is_told() -> None:
    with patch.object(graphs, "_Recorder", Refusing):
        own = pool()
    given = torch.ones(2), torch.ones(2)
    for _ in range(3):
        (out,) = own.run("a", 0, double, given)
        assert torch.equal(out, torch.full((2,), 3.0))
    assert own.captured == 0
    assert own.problem == "steps run without CUDA graphs: no memory"


@pytest.fixture(scope="module")
def target() -> Target:
    return target_of(random_model("llama"))


@pytest.mark.parametrize(("architecture", "temperature"), [("llama", 0.9), ("mistral", 0.0)])
def test_texts_are_those_of_eager_steps(architecture: str, temperature: float) -> None:
    own = target_of(random_model(architecture))
    wish = GenerationSettings(temperature=temperature, seed=5, max_new_tokens=50)
    for prompt in prompts(1, seed=8):
        eager = generate(own, prompt, wish, NgramDrafter(), graphs=False)
        assert generate(own, prompt, wish, NgramDrafter(), graphs=True) == eager
        assert generate(own, prompt, wish, None, graphs=True, growth_tokens=128) == eager


@pytest.fixture(scope="module", params=["eagle", "eagle3"])
def make(request: pytest.FixtureRequest, target: Target, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes a drafter for a plan."""
    folder = tmp_path_factory.mktemp("head")
    if request.param == "eagle":
        write_eagle(folder)
    else:
        write_eagle3(folder, draft_vocab=24, head_dim=24)
    return lambda plan: EagleDrafter(load_head(folder, target, "fp32"), target, plan)


@pytest.mark.parametrize("rows", [1, 3])
def test_rows_of_a_batch_keep_their_texts_and_trees(target: Target, make: Make, rows: int) -> None:
    """Rows come and go, trees of all sizes beside each other, the arenas grow."""
    wishes = [GenerationSettings(temperature=0.5 * (at % 2), seed=at, max_new_tokens=9 + 7 * at) for at in range(4)]
    given = prompts(4, seed=4)

    def answered(**changes: Any) -> tuple[list[tuple[list[int], int]], Engine]:
        plan = tiny_plan(rows=rows, growth_tokens=64, **changes)
        engine = Engine(target, make(plan), plan, adaptive=False)
        scheduler = Scheduler(engine)
        sequences = [engine.make(prompt, wish) for prompt, wish in zip(given, wishes, strict=True)]
        for sequence in sequences:
            scheduler.add(sequence)
        while scheduler.running or scheduler.waiting:
            for sequence, _ in scheduler.step():
                if sequence.finished is not None:
                    scheduler.leave(sequence)
        return [(sequence.tokens, sequence.statistics.accepted) for sequence in sequences], engine

    texts, engine = answered(graphs=True)
    assert engine.runner.graphs is not None
    assert engine.runner.graphs.captured > 0
    head = getattr(engine.drafter, "graphs", None)
    assert head is not None
    assert head.captured > 0
    assert not engine.graph_problem
    head._graphs.problem = "the head's are not captured"
    assert engine.graph_problem == "the head's are not captured"
    assert texts == answered(graphs=False)[0]
