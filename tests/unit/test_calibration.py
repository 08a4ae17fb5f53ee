"""Step times: measured within the budget, written, read again, and dropped where they are another's or damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from specmemo_chat.drafters.base import Drafter
from specmemo_chat.drafters.eagle import EagleDrafter
from specmemo_chat.drafters.eagle_head import load_head
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.engine import calibration
from specmemo_chat.engine.calibration import CostRecord, cost_key, measure
from specmemo_chat.engine.engine import Engine
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation import cost_file
from specmemo_chat.speculation.costs import DraftCosts, StepCosts
from tests.heads import write_eagle
from tests.models import generate, prompts, random_model, target_of, tiny_plan


def engine_of(model: Any, drafter: Drafter | None = None, **plan: Any) -> Engine:
    return Engine(target_of(model), drafter, tiny_plan(**plan))


def record_of(engine: Engine, folder: Path) -> tuple[str, CostRecord]:
    record = CostRecord(engine, folder)
    return record.load(60.0), record


def test_times_are_measured_once_and_then_taken_from_the_file(llama: Any, tmp_path: Path) -> None:
    first = engine_of(llama, NgramDrafter())
    assert record_of(first, tmp_path)[0] == "measured"
    known = first.controller.costs
    assert all(known.count(1, nodes, 32) for nodes in first.controller.buckets)
    assert first.arena.lengths == [0]
    assert first.controller.report().steps == {}
    second = engine_of(llama, NgramDrafter())
    assert record_of(second, tmp_path)[0] == "cache"
    assert second.controller.costs.entries() == known.entries()
    assert len(list(tmp_path.iterdir())) == 1


def test_another_device_model_precision_or_version_measures_anew(
    llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [cost_key(engine_of(llama))]
    keys.append(cost_key(engine_of(random_model("qwen3"))))
    keys.append(cost_key(engine_of(llama, draft="head")))
    keys.append(cost_key(engine_of(llama, tp=2)))
    with monkeypatch.context() as patch:
        patch.setattr(calibration, "cpu_name", lambda: "another processor")
        keys.append(cost_key(engine_of(llama)))
    with monkeypatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: 77)
        keys.append(cost_key(engine_of(llama)))
    with monkeypatch.context() as patch:
        patch.setattr(calibration, "__version__", "9.9")
        keys.append(cost_key(engine_of(llama)))
    assert cost_key(engine_of(llama)) == keys[0]
    files = {cost_file.path_of(tmp_path, key) for key in keys}
    assert len(files) == len(keys)
    record_of(engine_of(llama), tmp_path)
    assert record_of(engine_of(random_model("qwen3")), tmp_path)[0] == "measured"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[1, 2]",
        lambda text: json.dumps({**json.loads(text), "schema": 0}),
        lambda text: json.dumps({**json.loads(text), "steps": [[1, 1, 64, -3.0, 1]]}),
        lambda text: json.dumps({**json.loads(text), "steps": [[1, 1, 64, "fast", 1]]}),
        lambda text: json.dumps({**json.loads(text), "steps": [[1, 1]]}),
        lambda text: json.dumps({**json.loads(text), "steps": [], "drafts": []}),
        lambda text: json.dumps({**json.loads(text), "drafts": [["eagle", 1, "lunch", 0.1, 1]]}),
        lambda text: json.dumps({**json.loads(text), "key": {"device": "another"}}),
    ],
)
def test_a_damaged_file_is_measured_and_written_anew(damage: Any, llama: Any, tmp_path: Path) -> None:
    record_of(engine_of(llama), tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text(damage(file.read_text()))
    engine = engine_of(llama)
    assert record_of(engine, tmp_path)[0] == "measured"
    assert engine.controller.costs.entries()
    assert record_of(engine_of(llama), tmp_path)[0] == "cache"


def test_a_folder_that_cannot_be_written_is_no_error(llama: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    engine = engine_of(llama)
    assert record_of(engine, tmp_path / "file" / "below")[0] == "measured"
    assert not cost_file.save(tmp_path / "file" / "below", {}, StepCosts(), DraftCosts())


def test_times_are_found_by_a_part_of_their_key(tmp_path: Path) -> None:
    for number, threads in enumerate(("1", "2")):
        costs = StepCosts()
        costs.learn(1, 1, 64, [0.1 + number])
        key = {"device": "cpu", "model": "m", "threads": threads}
        assert cost_file.save(tmp_path, key, costs, DraftCosts())
        os.utime(cost_file.path_of(tmp_path, key), (1000 - number, 1000 - number))
    (tmp_path / "steps-broken.json").write_text("{")
    found = cost_file.find(tmp_path, {"device": "cpu", "model": "m"})
    # The last that was written.
    assert found is not None
    assert (found[0]["threads"], found[1].seconds(1, 1, 64)) == ("1", 0.1)
    assert cost_file.find(tmp_path, {"device": "cpu", "model": "another"}) is None
    assert cost_file.find(tmp_path / "nowhere", {}) is None


def test_what_was_refined_is_written(llama: Any, tmp_path: Path) -> None:
    engine = engine_of(llama, NgramDrafter())
    _, record = record_of(engine, tmp_path)
    before = next(tmp_path.iterdir()).read_text()
    record.update()
    assert next(tmp_path.iterdir()).read_text() == before
    sequence = engine.open(prompts(1)[0], GenerationSettings(max_new_tokens=20))
    while sequence.finished is None:
        engine.step([sequence])
    record.update(1000)
    assert next(tmp_path.iterdir()).read_text() == before
    record.update()
    assert next(tmp_path.iterdir()).read_text() != before
    again = engine_of(llama, NgramDrafter())
    assert record_of(again, tmp_path)[0] == "cache"
    assert again.controller.costs.entries() == engine.controller.costs.entries()


def test_a_level_of_the_drafter_is_measured(llama: Any, tmp_path: Path) -> None:
    write_eagle(tmp_path / "head")
    target = target_of(llama)
    drafter = EagleDrafter(load_head(tmp_path / "head", target, "fp32"), target, tiny_plan())
    engine = Engine(target, drafter, tiny_plan())
    measure(engine, 60.0)
    assert engine.controller.drafts.begin("eagle", 1) > 0
    assert engine.controller.drafts.level("eagle", 1) > 0
    assert drafter.known(0) == drafter.arena.lengths[0] == 0
    # And nothing is left of it.
    prompt = prompts(1, seed=3)[0]
    sequence = engine.open(prompt, GenerationSettings(max_new_tokens=20))
    while sequence.finished is None:
        engine.step([sequence])
    plain = generate(target, prompt, GenerationSettings(max_new_tokens=20))
    assert sequence.tokens[len(prompt) :] == plain


def test_rows_are_measured_for_batches(llama: Any) -> None:
    engine = engine_of(llama, rows=3)
    measure(engine, 60.0)
    assert engine.controller.costs.count(3, 1.5, 32)
    assert engine.arena.lengths == [0, 0, 0]


class Ticks:
    """A clock on which everything takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_the_budget_is_kept(llama: Any) -> None:
    clock = Ticks()
    engine = engine_of(llama, NgramDrafter())
    measure(engine, 10.0, clock)
    # It ends with the look at the clock after the last run that fits.
    assert clock.now <= 10.0 + 3 * len(engine.controller.buckets)
    none = engine_of(llama, NgramDrafter())
    measure(none, 0.0, Ticks())
    assert none.controller.costs.entries() == []
