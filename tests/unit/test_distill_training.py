"""Training of draft heads: the network's levels, the objective, and runs that stop and go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from specmemo_chat.distill.training import trainer as trainer_module
from specmemo_chat.distill.training.batches import Batches
from specmemo_chat.distill.training.network import HeadNetwork
from specmemo_chat.distill.training.objective import Objective, Score
from specmemo_chat.distill.training.packing import Batch, pack_rows
from specmemo_chat.distill.training.replies import Example
from specmemo_chat.distill.training.trainer import Stopped, Trainer, draft_vocabulary, rate_at
from specmemo_chat.drafters.eagle_format import read_head
from specmemo_chat.drafters.eagle_head import load_head
from specmemo_chat.engine.engine import Engine
from specmemo_chat.errors import UsageError
from specmemo_chat.models.target import Target
from specmemo_chat.settings import GenerationSettings
from tests.distilling import small, some_examples
from tests.eagle_reference import eagle3_reference
from tests.heads import HIDDEN, write_eagle3
from tests.models import VOCABULARY, random_model, target_of, tiny_plan


@pytest.fixture(scope="module")
def target() -> Target:
    return target_of(random_model("llama"))


# --- the network ------------------------------------------------------------------------------------------------


def network_with(folder: Path, **options: Any) -> tuple[HeadNetwork, dict[str, torch.Tensor]]:
    weights = write_eagle3(folder, **options)
    config, tensors = read_head(folder)
    network = HeadNetwork(config, 0)
    with torch.no_grad():
        for name, parameter in network.tensors().items():
            parameter.copy_(tensors[name])
    return network, weights


@pytest.mark.parametrize("options", [{}, {"norm_before_residual": True, "head_dim": 24}])
def test_every_level_is_what_a_draft_says_there(tmp_path: Path, target: Target, options: dict[str, Any]) -> None:
    network, weights = network_with(tmp_path, **options)
    switches = {name: value for name, value in options.items() if name == "norm_before_residual"}
    texts = [[3, 17, 5, 44, 8, 21, 9], [30, 2, 2, 51, 6]]
    embedding = target.model.model.embed_tokens.weight.detach()
    features = [torch.randn(len(text), 3 * HIDDEN, generator=torch.Generator().manual_seed(4)) for text in texts]
    batch = pack_rows([[(text, [True] * len(text)) for text in texts]], 12)
    packed = torch.cat(features)[None]
    with torch.no_grad():
        everywhere = torch.arange(batch.tokens.shape[1])[None]
        levels = list(
            network.levels(
                batch.tokens, packed, batch.positions, batch.mask, target.model.get_input_embeddings(), 4, everywhere
            )
        )
    start = 0
    for text, own in zip(texts, features, strict=True):
        for entry in range(len(text) - 1):
            drafted = text[entry + 2 :]
            expected = eagle3_reference(
                weights, embedding, text[1 : entry + 2], own[: entry + 1], drafted[:3], **switches
            )[entry:]
            for level, logits in enumerate(expected):
                found = network.logits(levels[level][0, start + entry])
                torch.testing.assert_close(found, logits, atol=1e-4, rtol=1e-4)
        start += len(text)


def test_some_entries_are_computed_as_among_all(tmp_path: Path, target: Target) -> None:
    network, _ = network_with(tmp_path)
    embed = target.model.get_input_embeddings()
    texts = [[[3, 17, 5, 44, 8, 21, 9]], [[30, 2, 2, 51], [6, 7, 1]]]
    batch = pack_rows([[(text, [True] * len(text)) for text in row] for row in texts], 7)
    features = torch.randn(2, 7, 3 * HIDDEN, generator=torch.Generator().manual_seed(4))
    entries = torch.tensor([[1, 4, 5], [0, 6, 2]])
    everywhere = torch.arange(7).expand(2, 7)
    with torch.no_grad():
        some, every = (
            list(network.levels(batch.tokens, features, batch.positions, batch.mask, embed, 3, chosen))
            for chosen in (entries, everywhere)
        )
    for level in range(3):
        expected = every[level].gather(1, entries[:, :, None].expand(-1, -1, HIDDEN))
        torch.testing.assert_close(some[level], expected)


def test_a_trained_head_is_written_and_loads_as_it_was(tmp_path: Path, target: Target) -> None:
    asked = small(tmp_path, draft_vocab=24)
    trainer = Trainer(target, asked, some_examples(), tmp_path, "abc", lambda event: None, lambda: False)
    trainer.run()
    size = trainer.write(tmp_path / "head")
    assert size == (tmp_path / "head" / "model.safetensors").stat().st_size
    config, tensors = read_head(tmp_path / "head")
    assert (config.kind, config.draft_vocab, config.features) == ("eagle3", 24, (0, 1, 2))
    assert config.target_hash == "abc"
    head = load_head(tmp_path / "head", target, "fp32")
    assert head.target_ids.tolist() == trainer._ids.tolist()
    for name, weight in trainer.network.tensors().items():
        torch.testing.assert_close(tensors[name].float(), weight.detach().bfloat16().float())


@pytest.mark.parametrize("vocabulary", [24, VOCABULARY])
def test_training_begins_with_another_head(tmp_path: Path, target: Target, vocabulary: int) -> None:
    def run(folder: Path, **changes: Any) -> Trainer:
        asked = small(folder, draft_vocab=vocabulary, **changes)
        folder.mkdir()
        trainer = Trainer(target, asked, some_examples(), folder, "abc", lambda event: None, lambda: False)
        trainer.run()
        trainer.write(folder)
        return trainer

    first = run(tmp_path / "first")
    again = run(tmp_path / "again", start=str(tmp_path / "first"), steps=1)
    assert again._ids.tolist() == first._ids.tolist()
    # The file holds it in bf16.
    assert again.measured[0]["loss"] == pytest.approx(first.measured[-1]["loss"], rel=0.02)


def test_a_head_of_another_kind_is_no_beginning(tmp_path: Path, target: Target) -> None:
    write_eagle3(tmp_path, norm_before_residual=True)
    asked = small(tmp_path, start=str(tmp_path))
    with pytest.raises(UsageError, match="variant of EAGLE-3"):
        Trainer(target, asked, some_examples(), tmp_path, "", lambda event: None, lambda: False)


# --- the objective ----------------------------------------------------------------------------------------------


def plain_measure(objective: Objective, target: Target, network: HeadNetwork, batch: Batch, depth: int) -> Score:
    """The score of one unpacked text, token by token."""
    score = Score(0, [0] * depth, [0] * depth)
    tokens = batch.tokens[0].tolist()
    embed = target.model.get_input_embeddings()
    features, _, _ = objective._teach(batch.tokens, batch.positions, batch.mask, torch.tensor([0]))
    entries = torch.arange(len(tokens))[None]
    levels = list(network.levels(batch.tokens, features, batch.positions, batch.mask, embed, depth, entries))
    for entry in range(len(tokens) - 2):
        if batch.targets[0, entry + 1] < 0:
            continue
        score.starts += 1
        for level in range(depth):
            at = entry + 1 + level
            if at >= len(tokens) - 1 or batch.targets[0, at] < 0:
                break
            score.tried[level] += 1
            if int(network.logits(levels[level][0, entry]).argmax()) != tokens[at + 1]:
                break
            score.hit[level] += 1
    return score


def own_texts(target: Target, count: int = 8) -> dict[int, list[Example]]:
    """What the target itself goes on with, greedily."""
    engine = Engine(target, None, tiny_plan())
    found = {}
    for line in range(1, count + 1):
        sequence = engine.open([line, 2 * line, 5], GenerationSettings(max_new_tokens=12))
        while sequence.finished is None:
            engine.step([sequence])
        engine.close(sequence)
        found[line] = [Example(tuple(sequence.tokens), ((3, 15),))]
    return found


def test_drafts_are_counted_as_a_chain_would_be_accepted(tmp_path: Path, target: Target) -> None:
    texts = own_texts(target)
    trainer = Trainer(target, small(tmp_path, steps=60), texts, tmp_path, "", lambda event: None, lambda: False)
    trainer.run()
    objective = Objective(target, trainer.network, torch.arange(VOCABULARY), 3)
    hits = 0
    for (example,) in texts.values():
        tokens = list(example.tokens)
        batch = pack_rows([[(tokens, [at >= 3 for at in range(len(tokens))])]], len(tokens))
        with torch.no_grad():
            _, wanted, score = objective.measure(batch, trainer._autocast)
            expected = plain_measure(objective, target, trainer.network, batch, 3)
        assert wanted == 12
        assert (score.starts, score.tried, score.hit) == (expected.starts, expected.tried, expected.hit)
        hits += sum(score.hit)
    # It learnt some of what it was trained on: the count above is no comparison of nothing with nothing.
    assert hits > 20
    assert Score(4, [4, 2], [2, 1]).acceptance_length == 1.75
    assert Score(4, [4, 2], [2, 1]).per_level == [0.5, 0.5]


def test_micro_batches_add_up_to_the_batch(tmp_path: Path, target: Target) -> None:
    examples = [example for found in some_examples(8).values() for example in found]
    batches = Batches(examples, 48, 8, 0)
    rows = batches.step(0)
    gradients = []
    for size in (len(rows), 1):
        network, _ = network_with(tmp_path)
        objective = Objective(target, network, torch.arange(VOCABULARY), 2)
        loss = 0.0
        for at in range(0, len(rows), size):
            part, _, _ = objective.measure(batches.batch(rows[at : at + size]), torch.enable_grad, scale=0.1)
            loss += part
        gradients.append([loss, *[weight.grad for weight in network.parameters()]])
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, parts, atol=2e-4, rtol=1e-3)


def test_the_vocabulary_is_what_replies_use_most() -> None:
    examples = [Example((1, 1, 9, 9, 9, 7), ((2, 6),)), Example((9, 30), ((1, 2),))]
    assert draft_vocabulary(examples, 2, 40).tolist() == [7, 9]
    assert draft_vocabulary(examples, 5, 40).tolist() == [0, 1, 7, 9, 30]
    assert draft_vocabulary(examples, 40, 40).tolist() == list(range(40))


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    rates = [rate_at(step, 200) for step in range(200)]
    assert rates[19] == 1
    assert rates[0] == pytest.approx(0.05)
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] < 1e-3


# --- runs -------------------------------------------------------------------------------------------------------


def log_of(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


def test_a_stopped_run_ends_like_one_that_was_not(tmp_path: Path, target: Target) -> None:
    def run(folder: Path, stop: Any) -> Trainer:
        folder.mkdir(exist_ok=True)
        trainer = Trainer(target, small(folder, steps=14), some_examples(40), folder, "", events.append, stop)
        trainer.run()
        return trainer

    events: list[dict[str, Any]] = []
    through = run(tmp_path / "through", lambda: False)
    assert next(event["step"] for event in events if event["event"] == "held_out") == 0
    stopping = iter([False] * 12 + [True] * 100)
    with pytest.raises(Stopped):
        run(tmp_path / "stopped", lambda: next(stopping))
    half = log_of(tmp_path / "stopped")
    assert 3 < len(half) < 14
    resumed = run(tmp_path / "stopped", lambda: False)
    assert log_of(tmp_path / "stopped") == log_of(tmp_path / "through")
    assert resumed.measured == through.measured
    for name, weight in through.network.tensors().items():
        assert torch.equal(weight, resumed.network.tensors()[name])
    losses = [entry["loss"] for entry in through.measured]
    assert losses[-1] < losses[0]


def test_steps_after_the_last_checkpoint_are_logged_once(tmp_path: Path, target: Target) -> None:
    trainer = Trainer(target, small(tmp_path), some_examples(), tmp_path, "", lambda event: None, lambda: False)
    trainer.run()
    trainer.step = 4
    trainer.save()
    again = Trainer(target, small(tmp_path), some_examples(), tmp_path, "", lambda event: None, lambda: False)
    again.run()
    assert [entry["step"] for entry in log_of(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_a_checkpoint_that_is_damaged_is_an_error(tmp_path: Path, target: Target) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(UsageError, match="cannot be read"):
        Trainer(target, small(tmp_path), some_examples(), tmp_path, "", lambda event: None, lambda: False)


def test_a_checkpoint_stays_until_the_next_is_whole(
    tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(target, small(tmp_path), some_examples(), tmp_path, "", lambda event: None, lambda: False)
    trainer.run()

    def full(state: Any, file: Path) -> None:
        file.write_bytes(b"half a checkpoint")
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(trainer_module.torch, "save", full)
    with pytest.raises(OSError, match="no space"):
        trainer.save()
    again = Trainer(target, small(tmp_path), some_examples(), tmp_path, "", lambda event: None, lambda: False)
    assert again.step == 6
