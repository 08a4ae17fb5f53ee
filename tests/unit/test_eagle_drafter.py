"""The EAGLE drafter: no text changes, rows do not disturb each other, its keys and values are a fresh prefill's."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from specmemo_chat.chat.conversation import Conversation
from specmemo_chat.chat.history import History
from specmemo_chat.drafters import make_drafter
from specmemo_chat.drafters.base import DraftBudget, Drafter, DraftRow, FeatureRow
from specmemo_chat.drafters.chain import ChainDrafter
from specmemo_chat.drafters.eagle import EagleDrafter
from specmemo_chat.drafters.eagle_head import load_head
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.sequence import Sequence
from specmemo_chat.errors import ModelError, UsageError
from specmemo_chat.events import ReplyEnd
from specmemo_chat.memory.drafts import WAITING_TOKENS
from specmemo_chat.models.hooks import FeatureTap
from specmemo_chat.models.target import Target
from specmemo_chat.models.tokenizer import ChatTokenizer
from specmemo_chat.settings import GenerationSettings
from tests.eagle_reference import eagle3_reference, eagle_reference
from tests.heads import write_eagle, write_eagle3
from tests.models import DEVICE, generate, prompts, random_model, target_of, tiny_plan
from tests.tiny import POCKET, TINY
from tests.unit.test_lossless import OracleDrafter

GREEDY = GenerationSettings(max_new_tokens=40)
SAMPLED = GenerationSettings(temperature=0.9, top_p=0.9, repeat_penalty=1.1, seed=11, max_new_tokens=40)
BUDGET = DraftBudget(nodes=12, depth=4, width=3)


@pytest.fixture(scope="module", params=["llama", "qwen3", "mistral"])
def target(request: pytest.FixtureRequest) -> Target:
    return target_of(random_model(request.param))


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("heads")
    write_eagle(folder / "eagle")
    write_eagle3(folder / "eagle3", draft_vocab=24, head_dim=24)
    return {"eagle": folder / "eagle", "eagle3": folder / "eagle3"}


def drafter_of(head: Path, target: Target, **plan: Any) -> EagleDrafter:
    return EagleDrafter(load_head(head, target, "fp32"), target, tiny_plan(**plan))


def finish(engine: Engine, sequences: list[Sequence]) -> list[list[int]]:
    while any(sequence.finished is None for sequence in sequences):
        engine.step(sequences)
        engine.arena.check_integrity()
    return [sequence.tokens[sequence.prompt_length :] for sequence in sequences]


def check_entries(drafter: EagleDrafter, head: Path, target: Target, tokens: list[int], row: int = 0) -> None:
    """The drafter's entries for `tokens` (the root last) are those of an engine that only ever prefilled them."""
    other = drafter_of(head, target)
    engine = Engine(target, other, tiny_plan(), adaptive=False)
    sequence = engine.open(tokens[:-1], GenerationSettings(max_new_tokens=1))
    finish(engine, [sequence])
    # What follows the prompt here need not be the root there: its entry is made from the same feature.
    other._rows[0].tokens[-1:] = [tokens[-1]]
    other._catch_up([0])
    if drafter._rows[row].tokens:
        drafter._catch_up([row])
    drafter.arena.check_integrity()
    assert drafter.arena.lengths[row] == other.arena.lengths[0] == len(tokens) - 1
    for mine, fresh in zip(drafter.arena.committed(0, row), other.arena.committed(0, 0), strict=True):
        torch.testing.assert_close(mine, fresh, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["eagle", "eagle3"])
@pytest.mark.parametrize("settings", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_the_text_is_that_of_plain_decoding(
    target: Target, heads: dict[str, Path], kind: str, settings: GenerationSettings
) -> None:
    for prompt in prompts(2, seed=4):
        plain = generate(target, prompt, settings)
        for changes in ({}, {"tree_depth": 1}, {"tree_width": 1}, {"growth_tokens": 64, "prefill_chunk": 50}):
            assert generate(target, prompt, settings, drafter_of(heads[kind], target, **changes), **changes) == plain
        assert generate(target, prompt, settings, drafter_of(heads[kind], target), adaptive=True) == plain


@pytest.mark.parametrize("kind", ["eagle", "eagle3"])
def test_rows_of_different_lengths_are_drafted_as_if_alone(target: Target, heads: dict[str, Path], kind: str) -> None:
    texts = prompts(3, seed=6, shortest=2, longest=40)
    wanted = [SAMPLED, GREEDY, GenerationSettings(temperature=1.0, seed=3, max_new_tokens=9)]
    drafter = drafter_of(heads[kind], target, rows=4)
    engine = Engine(target, drafter, tiny_plan(rows=4), adaptive=False)
    # Row 2 stays empty: the rows are no neighbours.
    rows = (0, 1, 3)
    sequences = [engine.open(text, setting, row=row) for text, setting, row in zip(texts, wanted, rows, strict=True)]
    while any(sequence.prefilling for sequence in sequences):
        engine.step(sequences)
    together = drafter.propose([DraftRow(sequence.row, sequence.tokens) for sequence in sequences], BUDGET)
    for sequence, tree in zip(sequences, together, strict=True):
        tree.check()
        alone = drafter.propose([DraftRow(sequence.row, sequence.tokens)], BUDGET)[0]
        assert (tree.tokens, tree.parents) == (alone.tokens, alone.parents)
        assert tree.probabilities == pytest.approx(alone.probabilities, abs=1e-4)
    new = finish(engine, sequences)
    assert new == [generate(target, text, setting) for text, setting in zip(texts, wanted, strict=True)]
    for sequence in sequences:
        check_entries(drafter, heads[kind], target, sequence.tokens, sequence.row)


def test_a_free_row_is_taken_again(heads: dict[str, Path]) -> None:
    target = target_of(random_model("llama"))
    drafter = drafter_of(heads["eagle3"], target, rows=2)
    engine = Engine(target, drafter, tiny_plan(rows=2), adaptive=False)
    first, second, third = prompts(3, seed=8)
    short = GenerationSettings(max_new_tokens=5)
    a, b = engine.open(first, short, row=0), engine.open(second, GREEDY, row=1)
    while a.finished is None:
        engine.step([a, b])
    engine.close(a)
    c = engine.open(third, GREEDY, row=0)
    assert finish(engine, [c, b]) == [generate(target, third, GREEDY), generate(target, second, GREEDY)]
    check_entries(drafter, heads["eagle3"], target, c.tokens, 0)
    check_entries(drafter, heads["eagle3"], target, b.tokens, 1)


@pytest.mark.parametrize("kind", ["eagle", "eagle3"])
def test_accepted_paths_leave_the_entries_of_a_fresh_prefill(target: Target, heads: dict[str, Path], kind: str) -> None:
    prompt = prompts(1, seed=9)[0]
    plain = generate(target, prompt, GREEDY)
    drafter = drafter_of(heads[kind], target)
    chain = ChainDrafter([OracleDrafter(prompt + plain, 2), drafter])
    engine = Engine(target, chain, tiny_plan(), adaptive=False)
    sequence = engine.open(prompt, GREEDY)
    assert finish(engine, [sequence]) == [plain]
    assert sequence.statistics.accepted > 10
    check_entries(drafter, heads[kind], target, sequence.tokens)


@pytest.mark.parametrize("kind", ["eagle", "eagle3"])
def test_every_edge_is_as_likely_as_the_reference_says(target: Target, tmp_path: Path, kind: str) -> None:
    """Features, tokens and positions are paired as published, and every node sees its own path and nothing else."""
    weights = write_eagle(tmp_path) if kind == "eagle" else write_eagle3(tmp_path, draft_vocab=24, head_dim=24)
    drafter = drafter_of(tmp_path, target)
    chain = ChainDrafter([OracleDrafter([], 0), drafter])
    engine = Engine(target, chain, tiny_plan(), adaptive=False)
    # Short: the reference computes everything anew at every position.
    sequence = engine.open([3, 17, 5, 44, 8, 21, 9, 30], GREEDY)
    while sequence.new_tokens < 4:
        engine.step([sequence])
    tokens = sequence.tokens
    # All that four levels of two by two give.
    tree = drafter.propose([DraftRow(0, tokens)], DraftBudget(nodes=40, depth=4, width=2))[0]
    assert len(tree) == 1 + 2 + 3 * 4
    assert max(tree.depths) == 4
    # The reference computes on a CPU.
    model = copy.deepcopy(target.model).to("cpu")
    model.set_attn_implementation("eager")
    with torch.no_grad():
        hidden = model(torch.tensor([tokens]), output_hidden_states=True).hidden_states
        features = torch.cat([hidden[index][0, : len(tokens) - 1] for index in drafter.feature_layers], -1)
        for node in range(1, len(tree)):
            *above, token = [tree.tokens[at] for at in tree.path(node)[1:]]
            if kind == "eagle":
                logits = eagle_reference(weights, model, tokens[1:], features, above)[-1]
            else:
                embedding = model.model.embed_tokens.weight
                logits = eagle3_reference(weights, embedding, tokens[1:], features, above)[-1]
                token = int(weights["t2d"][:token].sum())
            expected = float(logits.softmax(-1)[token])
            assert tree.probabilities[node] == pytest.approx(expected, rel=2e-3)


def test_plain_steps_keep_the_head_up_to_date_in_few_forwards(
    heads: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = target_of(random_model("llama"))
    drafter = drafter_of(heads["eagle"], target)
    engine = Engine(target, drafter, tiny_plan(), adaptive=False)
    forwards = []
    append = drafter.head.append
    monkeypatch.setattr(drafter.head, "append", lambda *given: (forwards.append(1), append(*given))[1])
    count = 2 * WAITING_TOKENS
    sequence = engine.open([1, 2, 3], GenerationSettings(max_new_tokens=count, speculate=False))
    finish(engine, [sequence])
    assert len(forwards) == 2
    assert len(drafter._rows[0].tokens) < WAITING_TOKENS
    check_entries(drafter, heads["eagle"], target, sequence.tokens)


def test_after_an_error_the_missing_features_are_computed_again(
    heads: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = target_of(random_model("llama"))
    drafter = drafter_of(heads["eagle"], target)
    engine = Engine(target, drafter, tiny_plan(), adaptive=False)
    sequence = engine.open(prompts(1, seed=10)[0], GREEDY)
    while sequence.new_tokens < 9:
        engine.step([sequence])
    with monkeypatch.context() as broken:
        broken.setattr(drafter, "extend", lambda rows: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            engine.step([sequence])
    standing = engine.close(sequence)
    assert drafter.known(0) < len(standing)
    again = engine.open([*standing, 7], GREEDY, keep=len(standing))
    assert again.prefilled == drafter.known(0)
    assert finish(engine, [again]) == [generate(target, [*standing, 7], GREEDY)]
    check_entries(drafter, heads["eagle"], target, again.tokens)


@pytest.mark.parametrize("kept", [0, 1, 5, 12, 1000])
def test_a_changed_text_keeps_what_is_common(heads: dict[str, Path], kept: int) -> None:
    target = target_of(random_model("llama"))
    drafter = drafter_of(heads["eagle3"], target)
    engine = Engine(target, drafter, tiny_plan(), adaptive=False)
    sequence = engine.open(prompts(1, seed=10)[0], GREEDY)
    finish(engine, [sequence])
    standing = engine.close(sequence)
    common = standing[:kept]
    changed = [*common, 7, 8, 9]
    if kept < len(standing) and standing[kept] == 7:
        changed[kept] = 8
    again = engine.open(changed, GREEDY, keep=len(common))
    # One token more is computed again, for its features; none where the text only goes on.
    assert again.prefilled == max(0, len(common) - 1)
    if kept > len(standing):
        assert again.statistics.reused_tokens == len(sequence.tokens) - 1
    assert finish(engine, [again]) == [generate(target, changed, GREEDY)]
    check_entries(drafter, heads["eagle3"], target, again.tokens)


def test_undo_and_regenerate_in_a_conversation(tmp_path: Path) -> None:
    target = target_of(random_model("llama", **TINY), frozenset({4}))
    write_eagle3(tmp_path, vocab=TINY["vocab_size"], draft_vocab=50)
    tokenizer = ChatTokenizer(str(POCKET))
    plan = tiny_plan(context_tokens=400, growth_tokens=64)
    short = GenerationSettings(max_new_tokens=12)

    def conversation(drafter: Drafter | None) -> Conversation:
        history = History(tokenizer, tokenizer.template, target.eos_ids, None)
        return Conversation(Engine(target, drafter, plan, adaptive=False), tokenizer, history)

    def end(events: Any) -> ReplyEnd:
        return list(events)[-1]

    drafter = EagleDrafter(load_head(tmp_path, target, "fp32"), target, plan)
    texts = []
    for talk in (conversation(drafter), conversation(None)):
        replies = [end(talk.reply("Hello there", short)), end(talk.reply("Something else", short))]
        assert talk.undo()
        replies.append(end(talk.reply("Another thing", short)))
        replies.append(end(talk.regenerate(short)))
        assert replies[3].text == replies[2].text
        assert replies[1].stats.reused_tokens > 10
        replies.append(end(talk.reply("And more", short)))
        texts.append([reply.text for reply in replies])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_a_head_in_another_precision_than_the_target(target: Target, heads: dict[str, Path], dtype: str) -> None:
    prompt = prompts(1, seed=13)[0]
    for head in heads.values():
        drafter = EagleDrafter(load_head(head, target, dtype), target, tiny_plan())
        assert generate(target, prompt, SAMPLED, drafter) == generate(target, prompt, SAMPLED)
        assert drafter.arena.committed(0, 0)[0].dtype == drafter.head.dtype != target.dtype


@pytest.mark.parametrize("where", ["propose", "extend"])
def test_without_memory_for_the_draft_the_reply_goes_on(heads: dict[str, Path], where: str) -> None:
    target = target_of(random_model("llama"))
    drafter = drafter_of(heads["eagle"], target)
    calls = 0
    usual = getattr(drafter, where)

    def failing(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise torch.OutOfMemoryError
        return usual(*given)

    setattr(drafter, where, failing)
    engine = Engine(target, drafter, tiny_plan(prefill_chunk=64), adaptive=False)
    prompt = prompts(1, seed=14)[0]
    sequence = engine.open(prompt, GREEDY)
    notes = []
    while sequence.finished is None:
        notes.append(engine.step([sequence])[0].note)
    assert sequence.tokens[len(prompt) :] == generate(target, prompt, GREEDY)
    assert calls == 5
    assert [note for note in notes if note] == ["the device ran out of memory: the reply goes on with plain decoding"]
    # The drafter is behind for good; the next reply is plain as well.
    again = engine.open([*sequence.tokens, 5], GREEDY, keep=len(sequence.tokens) - 1)
    assert finish(engine, [again]) == [generate(target, [*sequence.tokens, 5], GREEDY)]


def test_features_out_of_order_are_an_error(heads: dict[str, Path]) -> None:
    target = target_of(random_model("llama"))
    drafter = drafter_of(heads["eagle"], target)
    states = torch.zeros(2, 64, device=DEVICE)
    drafter.extend([FeatureRow(DraftRow(0, [1, 2, 3]), 0, states)])
    with pytest.raises(ValueError, match="features up to position 2"):
        drafter.extend([FeatureRow(DraftRow(0, [1, 2, 3, 4, 5, 6]), 3, states)])
    with pytest.raises(ValueError, match="not given the features"):
        drafter.propose([DraftRow(0, [1, 2, 3, 4, 5, 6])], BUDGET)


def test_features_are_the_models_hidden_states(target: Target) -> None:
    indices = (0, 1, target.layers)
    tap = FeatureTap(target.model, indices)
    tokens = torch.tensor([[1, 2, 3, 4]], device=DEVICE)
    engine = Engine(target, None, tiny_plan())
    engine.runner._tap = tap

    def hooks() -> int:
        return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in target.model.modules())

    before = hooks()
    engine.runner.prefill(0, tokens[0].tolist())
    captured = engine.runner.take_features()
    assert captured is not None
    assert engine.runner.take_features() is None
    # Other engines and the training share the model.
    assert hooks() == before
    target.model.set_attn_implementation("sdpa")
    with torch.no_grad():
        expected = target.model(tokens, output_hidden_states=True).hidden_states
    target_of(target.model)
    for place, index in enumerate(indices):
        torch.testing.assert_close(captured[:, place * 64 : (place + 1) * 64], expected[index][0], rtol=1e-4, atol=1e-4)


def test_hidden_states_that_the_model_does_not_have(heads: dict[str, Path], tmp_path: Path) -> None:
    target = target_of(random_model("llama"))
    write_eagle3(tmp_path, layers=(0, 1, 9))
    with pytest.raises(UsageError, match="hidden state 9"):
        Engine(target, drafter_of(tmp_path, target), tiny_plan())
    tap = FeatureTap(target.model, (0,))
    with tap.open():
        pass
    with pytest.raises(RuntimeError, match="did not pass"):
        tap.take()


def test_the_plan_makes_the_drafter(heads: dict[str, Path], tmp_path: Path) -> None:
    target = target_of(random_model("llama"))
    drafter = make_drafter(tiny_plan(drafters=("ngram", "eagle3"), draft=str(heads["eagle3"])), target)
    assert drafter is not None
    assert drafter.name == "ngram+eagle3"
    assert drafter.feature_layers == (0, 1, 2)
    with pytest.raises(ModelError, match="the kind eagle3"):
        make_drafter(tiny_plan(drafters=("eagle",), draft=str(heads["eagle3"])), target)
    with pytest.raises(UsageError, match="names none"):
        make_drafter(tiny_plan(drafters=("eagle",)), target)
    with pytest.raises(UsageError, match="no drafter is called medusa"):
        make_drafter(tiny_plan(drafters=("medusa",)), target)
