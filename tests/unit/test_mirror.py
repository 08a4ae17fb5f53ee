"""Worker 0's orders: whatever the engine does with its target, a follower that only reads them holds the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specmemo_chat.drafters import make_drafter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.kv.arena import ArenaFullError, KVArena
from specmemo_chat.kv.recording import RecordingArena
from specmemo_chat.models.batch import Batch
from specmemo_chat.models.mirror import Follower, LeadingTarget, _packed_mask, _unpacked_mask, decode, encode
from specmemo_chat.settings import GenerationSettings
from tests.heads import write_eagle, write_eagle3
from tests.models import prompts, random_model, target_of, tiny_plan


class Echo:
    """Implements Followers in this process: one follower with a model of its own carries out every order at once."""

    def __init__(self) -> None:
        self.follower = Follower(target_of(random_model("llama")))
        self.orders: list[str] = []
        self.largest = 0

    def send(self, order: bytes) -> None:
        self.orders.append(decode(order)[0]["order"])
        self.largest = max(self.largest, len(order))
        self.follower.carry_out(order)

    def lost(self, error: BaseException) -> NoReturn:
        raise error

    def check(self, arena: KVArena) -> None:
        """The follower's arena is `arena`, but for what has happened since the last order."""
        (own,) = self.follower._arenas.values()
        own.check_integrity()
        assert (own.capacity, own.nbytes) == (arena.capacity, arena.nbytes)
        for row, length in enumerate(own.lengths):
            for layer in range(arena.layers if length else 0):
                kept = min(length, arena.lengths[row])
                for mine, theirs in zip(own.committed(layer, row), arena.committed(layer, row), strict=True):
                    assert torch.equal(mine[:, :kept], theirs[:, :kept])


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("heads")
    write_eagle(folder / "eagle")
    write_eagle3(folder / "eagle3", draft_vocab=24, head_dim=24)
    return {"eagle": folder / "eagle", "eagle3": folder / "eagle3"}


def run(target: Any, plan: Any, check: Any = lambda _arena: None) -> list[list[int]]:
    """Texts in all rows, the first of which is parked for a moment; then each goes on from a part of itself."""
    engine = Engine(target, make_drafter(plan, target), plan, adaptive=False)
    own = GenerationSettings(temperature=0.8, seed=3, max_new_tokens=12)
    texts = prompts(plan.rows, seed=plan.rows)
    for keep in (0, 6):
        sequences = [engine.open(texts[row], own, row=row, keep=keep) for row in range(plan.rows)]
        steps = 0
        while any(sequence.finished is None for sequence in sequences):
            if steps == 4:
                engine.park(sequences[0])
                engine.seat(sequences[0], 0)
            engine.step([sequence for sequence in sequences if sequence.finished is None])
            check(engine.arena)
            steps += 1
        for row, sequence in enumerate(sequences):
            texts[row] = sequence.tokens
            engine.close(sequence)
    return texts


@pytest.mark.parametrize("drafters", [(), ("ngram",), ("eagle",), ("ngram", "eagle3")])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_follower_holds_what_worker_0_holds(drafters: tuple[str, ...], rows: int, heads: dict[str, Path]) -> None:
    draft = str(heads[drafters[-1]]) if drafters and drafters[-1] in heads else None
    plan = tiny_plan(rows=rows, drafters=drafters, draft=draft, draft_dtype="fp32", target=str(heads["eagle"]))
    echo = Echo()
    led = run(LeadingTarget(target_of(random_model("llama")), 1, echo), plan, echo.check)
    assert led == run(target_of(random_model("llama")), plan)
    assert {"arena", "forward"} <= set(echo.orders)
    # EAGLE borrows both of the target's layers, EAGLE-3 its embedding.
    assert ("unembed" in echo.orders) == (drafters == ("eagle",))
    assert ("embed" in echo.orders) == bool(draft)


def test_what_is_refused_is_not_ordered() -> None:
    echo = Echo()
    leader = LeadingTarget(target_of(random_model("llama")), 1, echo)
    arena = leader.new_arena(1, 32, 32, 8)
    sent = len(echo.orders)
    one = torch.zeros((1, 1), dtype=torch.long)
    with pytest.raises(ArenaFullError):
        leader.forward(arena, Batch((0,), one, one, one, torch.ones((1, 1, 1, 4096), dtype=torch.bool), 4096))
    assert len(echo.orders) == sent
    echo.check(arena)


def test_an_error_that_the_others_cannot_see_ends_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    echo = Echo()
    leader = LeadingTarget(target_of(random_model("llama")), 1, echo)
    lost = []
    monkeypatch.setattr(echo, "lost", lost.append)
    layer = leader.model.get_output_embeddings().layer
    layer.forward = lambda _x: (_ for _ in ()).throw(torch.OutOfMemoryError("out of memory"))
    with pytest.raises(UnboundLocalError):
        # `lost` never returns outside of tests.
        leader.model.get_output_embeddings()(torch.zeros((1, 1, 64)))
    assert [type(error) for error in lost] == [torch.OutOfMemoryError]


def test_every_change_of_an_arena_is_noted() -> None:
    """Those that change nothing, or only within a forward or by way of another change."""
    unnoted = {"committed", "check_integrity", "fits", "in_order", "neighbours", "view", "view_length", "window"}
    unnoted |= {"store", "commit"}
    methods = {name for name, value in vars(KVArena).items() if callable(value) and not name.startswith("_")}
    noted = {name for name in vars(RecordingArena) if name in methods}
    assert noted == methods - unnoted


def test_a_released_arena_is_released_everywhere() -> None:
    echo = Echo()
    leader = LeadingTarget(target_of(random_model("llama")), 1, echo)
    arena = leader.new_arena(1, 32, 32, 8)
    del arena
    leader.new_arena(2, 32, 32, 8)
    assert len(echo.follower._arenas) == 1


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 70), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_masks_survive_the_order(rows: int, nodes: int, view: int, seed: int) -> None:
    mask = torch.rand((rows, 1, nodes, view), generator=torch.Generator().manual_seed(seed)) < 0.5
    mask[..., : view // 2] = True
    columns, packed = _packed_mask(mask)
    assert torch.equal(_unpacked_mask(list(mask.shape), columns, packed), mask)


def test_a_long_context_costs_the_order_nothing() -> None:
    mask = torch.zeros((1, 1, 16, 8192), dtype=torch.bool)
    mask[..., :8000] = True
    mask[..., 8000:8016] = torch.eye(16, dtype=torch.bool)
    assert _packed_mask(mask)[1].nbytes == 32


def test_tensors_survive_the_order() -> None:
    sent = [
        torch.arange(6, dtype=torch.int32).view(2, 3),
        torch.randn((1, 2, 5)).to(torch.bfloat16),
        torch.zeros((0,), dtype=torch.uint8),
    ]
    values, read = decode(encode({"order": "embed", "events": [[0, "commit", [1, [0, 2]]]]}, sent))
    assert values == {"order": "embed", "events": [[0, "commit", [1, [0, 2]]]]}
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(sent, read, strict=True))
