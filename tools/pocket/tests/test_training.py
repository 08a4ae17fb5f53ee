"""Training of the bundled model: optimiser, resuming and export, in a tiny shape."""

from __future__ import annotations

import copy
import itertools
import json
import types
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from specmemo_chat.distill.training.data import read_prompts
from specmemo_chat.distill.training.optimizer import Muon
from specmemo_chat.distill.training.packing import Batch
from tools.pocket import chats, evaluate, train
from tools.pocket.dialogues.company import PARAMETERS
from tools.pocket.dialogues.mix import Message, dialogues
from tools.pocket.dialogues.small_talk import SmallTalk
from tools.pocket.export import export_model
from tools.pocket.packing import Packer
from tools.pocket.tokenizer import (
    ASSISTANT,
    END,
    VOCABULARY,
    encode_dialogue,
)

TINY = {
    **train.SHAPE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}


def tiny_model(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(train, "SHAPE", TINY)
    torch.manual_seed(3)
    return train.new_model(tokenizer)


def packed(tokenizer: Tokenizer, count: int, rows: int = 2, length: int = 192) -> list[Batch]:
    encoded = (encode_dialogue(tokenizer, messages) for messages in dialogues(4))
    return list(islice(Packer(rows, length, window=20).batches(encoded), count))


def test_the_loss_of_packed_rows_is_that_of_the_dialogues_alone(
    trained: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(trained, monkeypatch).eval()
    found = [encode_dialogue(trained, messages) for messages in islice(dialogues(4), 12)]
    found = sorted(found, key=lambda example: len(example[0]))[:6]
    (batch,) = Packer(2, 256, window=6).batches(iter(found))
    assert batch.count == sum(len(ids) for ids, _ in found)
    total, count = torch.zeros(()), 0
    for ids, wanted in found:
        logits = model(torch.tensor([ids])).logits[0, :-1]
        for at, token in enumerate(ids[1:]):
            if wanted[at + 1]:
                total += torch.nn.functional.cross_entropy(logits[at], torch.tensor(token))
                count += 1
    torch.testing.assert_close(train.loss_of(model, batch), total / count, atol=1e-4, rtol=1e-5)


def test_optimiser_steps_lower_the_loss_and_go_on_after_a_reload(
    trained: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(trained, monkeypatch)
    (batch,) = packed(trained, 1)
    optimizer = Muon(model)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    losses = []
    for _ in range(6):
        loss = train.loss_of(model, batch)
        loss.backward()
        optimizer.step(1.0)
        losses.append(loss.item())
        assert all(weight.grad is None for weight in model.parameters())
    assert losses[-1] < losses[0] - 0.5
    assert all(not torch.equal(weight, before[name]) for name, weight in model.named_parameters())
    # A second optimiser that takes over the state makes the same next step.
    other = train.new_model(trained)
    other.load_state_dict(model.state_dict())
    heir = Muon(other)
    heir.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, own in ((model, optimizer), (other, heir)):
        train.loss_of(each, batch).backward()
        own.step(0.5)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    # At rate zero nothing moves.
    after = [weight.clone() for weight in model.parameters()]
    train.loss_of(model, batch).backward()
    optimizer.step(0.0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), after, strict=True))


def test_the_learning_rate_warms_up_stays_and_falls_to_zero() -> None:
    assert train.learning_rate(0, 0.0, 100.0, 0.4) == pytest.approx(1 / 60)
    assert train.learning_rate(59, 10.0, 100.0, 0.4) == 1.0
    assert train.learning_rate(500, 60.0, 100.0, 0.4) == 1.0
    assert train.learning_rate(500, 80.0, 100.0, 0.4) == pytest.approx(0.5)
    assert train.learning_rate(500, 100.0, 100.0, 0.4) == 0.0
    assert train.learning_rate(500, 120.0, 100.0, 0.4) == 0.0


# --- the run ----------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_run(monkeypatch: pytest.MonkeyPatch, trained: Tokenizer) -> None:
    """Runs of the tiny shape, in which every look at the clock takes a second."""
    clock = itertools.count(100.0)
    monkeypatch.setattr(train, "SHAPE", TINY)
    monkeypatch.setattr(train, "_SHORT_ROWS", (2, 160))
    monkeypatch.setattr(train, "_LONG_ROWS", (1, 1024))
    monkeypatch.setattr(train, "_MIDDLE_ROWS", (1, 640))
    monkeypatch.setattr(train, "_MIDDLE_AT", 1)
    monkeypatch.setattr(train, "_LONG_AT", 2)
    monkeypatch.setattr(train, "_CYCLE", 3)
    monkeypatch.setattr(train, "_TOKENIZER_DIALOGUES", 100)
    monkeypatch.setattr(train, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(train, "train_tokenizer", lambda texts: trained)


def weights(run: train.Run) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in run.model.named_parameters()}


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.usefixtures("tiny_run")
def test_training_stops_with_its_time_and_goes_on_from_the_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train.Run(tmp_path, 0, None)
    fresh = weights(run)
    run.train(3 / 60, decay=0.5, bf16=False)
    assert (run.step, run.seconds) == (3, 3.0)
    assert run.tokens > 3 * 200
    trained = weights(run)
    assert any(not torch.equal(trained[name], fresh[name]) for name in fresh)
    again = train.Run(tmp_path, 0, None)
    assert (again.step, again.tokens, again.seconds) == (3, run.tokens, 3.0)
    assert "going on at step 3" in capsys.readouterr().out
    assert all(torch.equal(weight, trained[name]) for name, weight in weights(again).items())
    # Its time is used up.
    again.train(3 / 60, decay=0.5, bf16=False)
    assert again.step == 3
    again.train(5 / 60, decay=0.5, bf16=True)
    assert (again.step, again.seconds) == (5, 5.0)
    assert again.tokens > run.tokens
    assert any(not torch.equal(weight, trained[name]) for name, weight in weights(again).items())
    entries = log_of(tmp_path)
    assert [entry["step"] for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry["tokens"] for entry in entries] == sorted(entry["tokens"] for entry in entries)
    assert entries[-1]["tokens"] == again.tokens
    assert all(0 < entry["loss"] < 9 for entry in entries)


@pytest.mark.usefixtures("tiny_run")
def test_an_interrupted_run_ends_like_one_that_was_not(
    tmp_path: Path, trained: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = packed(trained, 6)
    stop = 3

    def from_step(tokenizer: Tokenizer, talk: SmallTalk | None, seed: int) -> Iterator[Batch]:
        for step in range((seed - 7) // 1000, 6):
            if step == stop:
                raise KeyboardInterrupt
            yield batches[step]

    monkeypatch.setattr(train, "_batches", from_step)
    monkeypatch.setattr(train, "_CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train.Run(tmp_path / "stopped", 7, None).train(6 / 60, decay=0.5, bf16=False)
    stop = -1
    resumed = train.Run(tmp_path / "stopped", 7, None)
    assert resumed.step == 3
    resumed.train(6 / 60, decay=0.5, bf16=False)
    through = train.Run(tmp_path / "through", 7, None)
    through.train(6 / 60, decay=0.5, bf16=False)
    assert log_of(tmp_path / "stopped") == log_of(tmp_path / "through")
    for name, weight in weights(resumed).items():
        torch.testing.assert_close(weight, weights(through)[name], atol=1e-6, rtol=1e-5)


@pytest.mark.usefixtures("tiny_run")
def test_a_checkpoint_stays_until_the_next_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train.Run(tmp_path, 0, None)
    run.step = 11
    run.save()

    def full(state: Any, file: Path) -> None:
        file.write_bytes(b"half a checkpoint")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full)
    run.step = 12
    with pytest.raises(OSError, match="no space"):
        run.save()
    assert train.Run(tmp_path, 0, None).step == 11


@pytest.mark.usefixtures("tiny_run")
def test_other_sittings_and_other_seeds_draw_other_dialogues(trained: Tokenizer) -> None:
    def first(seed: int) -> torch.Tensor:
        return next(train._batches(trained, None, seed)).tokens

    assert torch.equal(first(0), first(0))
    assert not torch.equal(first(0), first(3000))
    # Of three batches one has dialogues longer than a short row here, and one long dialogues.
    shapes = [tuple(batch.tokens.shape) for batch in islice(train._batches(trained, None, 0), 6)]
    assert shapes == [(2, 160), (1, 640), (1, 1024)] * 2


def test_the_model_has_as_many_parameters_as_it_says(trained: Tokenizer) -> None:
    model = train.new_model(trained)
    count = sum(weight.numel() for weight in model.parameters())
    assert f"{count / 1e6:.1f} million" == PARAMETERS
    assert count <= 9_500_000
    assert 8 <= len(model.model.layers) <= 12
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert (model.config.eos_token_id, model.config.pad_token_id) == (4, 0)


@pytest.mark.usefixtures("tiny_run")
def test_a_finished_model_is_trained_further(tmp_path: Path, trained: Tokenizer) -> None:
    first = train.Run(tmp_path / "first", 0, None)
    export_model(first.model, trained, tmp_path / "model", 2048)
    further = train.Run(tmp_path / "further", 1, None, tmp_path / "model")
    assert further.tokenizer.to_str() == trained.to_str()
    for name, weight in weights(first).items():
        torch.testing.assert_close(weights(further)[name], weight.to(torch.bfloat16).float())
    further.train(2 / 60, decay=0.5, bf16=False, peak=0.5)
    assert max(entry["rate"] for entry in log_of(tmp_path / "further")) <= 0.5
    # Its own checkpoint comes before the model it started from.
    again = train.Run(tmp_path / "further", 1, None, tmp_path / "model")
    assert again.step == 2
    assert all(torch.equal(weight, weights(further)[name]) for name, weight in weights(again).items())


@pytest.mark.usefixtures("tiny_run")
def test_a_model_of_another_shape_is_refused(tmp_path: Path, trained: Tokenizer) -> None:
    export_model(train.Run(tmp_path / "first", 0, None).model, trained, tmp_path / "model", 2048)
    state = load_file(tmp_path / "model" / "model.safetensors")
    state.pop("model.norm.weight")
    save_file(state, tmp_path / "model" / "model.safetensors")
    with pytest.raises(ValueError, match=r"no model of this shape.*norm"):
        train.Run(tmp_path / "further", 1, None, tmp_path / "model")


# --- export -----------------------------------------------------------------------------------------------------


@pytest.fixture
def exported(tmp_path: Path, trained: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Path]:
    """A tiny model with weights far from their start, and the folder it was written to."""
    model = tiny_model(trained, monkeypatch).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    export_model(model, trained, tmp_path / "model", 2048)
    return model, tmp_path / "model"


def test_transformers_loads_the_exported_model(exported: tuple[Any, Path]) -> None:
    from transformers import AutoModelForCausalLM

    model, folder = exported
    again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert type(again).__name__ == "LlamaForCausalLM"
    assert again.lm_head.weight is again.model.embed_tokens.weight
    assert AutoModelForCausalLM.from_pretrained(folder).dtype == torch.bfloat16
    ids = torch.randint(0, VOCABULARY, (2, 50), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        exact = model(ids).logits
        logits = again(ids).logits
        for weight in model.parameters():
            weight.copy_(weight.to(torch.bfloat16))
        rounded = model(ids).logits
    torch.testing.assert_close(logits, rounded, atol=1e-5, rtol=1e-5)
    assert (logits - exact).abs().max() < 0.03 * exact.abs().max()
    assert not torch.equal(logits, exact)


def test_exported_files_hold_what_a_loader_needs(exported: tuple[Any, Path]) -> None:
    from safetensors import safe_open

    _, folder = exported
    names = {file.name for file in folder.iterdir()}
    assert names == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (config["model_type"], config["dtype"]) == ("llama", "bfloat16")
    assert config["max_position_embeddings"] == train.CONTEXT
    assert (config["eos_token_id"], config["pad_token_id"], config["tie_word_embeddings"]) == (4, 0, True)
    generation = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    assert generation == {"do_sample": False, "eos_token_id": 4, "pad_token_id": 0}
    with safe_open(folder / "model.safetensors", "pt") as weights:
        assert "lm_head.weight" not in weights.keys()  # noqa: SIM118
        assert all(weights.get_tensor(name).dtype == torch.bfloat16 for name in weights.keys())  # noqa: SIM118


def test_the_evaluation_prompts_the_model_as_training_did(
    exported: tuple[Any, Path], trained: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "_NEW_TOKENS", 6)
    _, folder = exported
    chatter = evaluate.Chatter(folder)
    turns = ("My name is Ana.", "What is my name?")
    replies = chatter.replies(turns)
    assert len(replies) == 2
    messages: list[Message] = []
    for turn, reply in zip(turns, replies, strict=True):
        messages.append({"role": "user", "content": turn})
        ids = [*encode_dialogue(trained, messages)[0], trained.token_to_id(ASSISTANT)]
        start = len(ids)
        for _ in range(6):
            with torch.no_grad():
                ids.append(int(chatter._model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == trained.token_to_id(END):
                break
        assert trained.decode(ids[start:]).strip() == reply
        messages.append({"role": "assistant", "content": reply})
    assert chatter.replies(turns) == replies


@pytest.mark.usefixtures("tiny_run")
def test_the_command_trains_and_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM

    train.main(["--out", str(tmp_path), "--minutes", "0.03", "--threads", "1"])
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    run = train.Run(tmp_path, 0, None)
    assert run.step == 2
    for name, weight in run.model.named_parameters():
        torch.testing.assert_close(dict(model.named_parameters())[name], weight, atol=1e-2, rtol=1e-2)
    printed = capsys.readouterr().out
    assert "parameters" in printed
    assert f"the model lies in {tmp_path / 'model'}" in printed


def test_dialogues_are_written_for_the_training_of_a_head(tmp_path: Path) -> None:
    chats.main(["-o", str(tmp_path / "chats.jsonl"), "--count", "7", "--seed", "3"])
    prompts = read_prompts(tmp_path / "chats.jsonl", with_replies=True)
    assert len(prompts) == 7
    chats.main(["-o", str(tmp_path / "again.jsonl"), "--count", "7", "--seed", "3"])
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "chats.jsonl").read_bytes()
