"""Train Pocket, the bundled model, from nothing: `python -m tools.pocket.train --out DIR`.

The run is resumable: every five minutes it writes a checkpoint into DIR/run and goes on from there
when started again. The learning rate is constant after its warm-up and falls to zero over the last
part of `--minutes`, counted over all sittings. The finished model lies in DIR/model. With `--start FOLDER`
the weights and the tokenizer of a finished model are trained further.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from specmemo_chat.distill.training.optimizer import Muon
from specmemo_chat.distill.training.packing import Batch, Example
from tools.pocket.dialogues.mix import Message, Mixer
from tools.pocket.dialogues.small_talk import SmallTalk, read_small_talk
from tools.pocket.export import export_model
from tools.pocket.packing import Packer
from tools.pocket.tokenizer import END, PAD, VOCABULARY, encode_dialogue, train_tokenizer

CONTEXT = 2048
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 256,
    "intermediate_size": 736,
    "num_hidden_layers": 10,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": CONTEXT,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
}
_TOKENIZER_DIALOGUES = 12_000
_WARM_UP_STEPS = 60
_CHECKPOINT_SECONDS = 300.0
# Rows hardly longer than their dialogues: attention over a row costs its square. Of eight batches one has
# dialogues of more than a short row, and one long dialogues: a chat of many turns must work as well as its first ones.
_SHORT_ROWS, _MIDDLE_ROWS, _LONG_ROWS = (24, 256), (8, 768), (4, 1280)
_MIDDLE_AT, _LONG_AT, _CYCLE = 3, 7, 8


def new_model(tokenizer: Tokenizer) -> Any:
    """A LlamaForCausalLM of Pocket's shape with fresh weights, fp32."""
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaForCausalLM

    end = tokenizer.token_to_id(END)
    config = LlamaConfig(
        **SHAPE,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=tokenizer.token_to_id(PAD),
        attn_implementation="sdpa",
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for layer in model.model.layers:
            for projection in (layer.self_attn.o_proj, layer.mlp.down_proj):
                projection.weight.mul_((2 * SHAPE["num_hidden_layers"]) ** -0.5)
    return model


def loss_of(model: Any, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy over the tokens the model is to produce."""
    hidden = model.model(
        input_ids=batch.tokens, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
    ).last_hidden_state
    wanted = batch.targets >= 0
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[wanted]).float(), batch.targets[wanted])


def learning_rate(step: int, elapsed: float, total: float, decay: float, peak: float = 1.0) -> float:
    """The schedule's factor: warm-up to `peak`, then constant, and linear to zero over the last `decay` of `total`."""
    left = max(0.0, 1.0 - elapsed / total)
    return peak * min(1.0, (step + 1) / _WARM_UP_STEPS, left / decay)


def _examples(tokenizer: Tokenizer, mixer: Mixer, long: bool) -> Iterator[Example]:
    while True:
        yield encode_dialogue(tokenizer, mixer.dialogue(long))


def _batches(tokenizer: Tokenizer, talk: SmallTalk | None, seed: int) -> Iterator[Batch]:
    def mixer(of: int) -> Mixer:
        return Mixer(of, talk.turns, words=talk.words) if talk else Mixer(of)

    short_row = _SHORT_ROWS[1]
    short = Packer(*_SHORT_ROWS).batches(_examples(tokenizer, mixer(seed), False))
    more = (e for e in _examples(tokenizer, mixer(seed + 2), False) if len(e[0]) > short_row)
    middle = Packer(*_MIDDLE_ROWS, window=60).batches(more)
    long = Packer(*_LONG_ROWS, window=60).batches(_examples(tokenizer, mixer(seed + 1), True))
    special = {_MIDDLE_AT: middle, _LONG_AT: long}
    for number in itertools.count():
        yield next(special.get(number % _CYCLE, short))


def _texts(messages: list[Message]) -> Iterator[str]:
    return (" " + message["content"] for message in messages)


def _tokenizer(file: Path, talk: SmallTalk | None, seed: int) -> Tokenizer:
    if not file.exists():
        print(f"training the tokenizer on {_TOKENIZER_DIALOGUES} dialogues", flush=True)
        mixer = Mixer(seed + 2, talk.turns if talk else ())
        train_tokenizer(text for _ in range(_TOKENIZER_DIALOGUES) for text in _texts(mixer.dialogue())).save(str(file))
    return Tokenizer.from_file(str(file))


class Run:
    """One training run: its state, its checkpoints and its log."""

    def __init__(self, folder: Path, seed: int, talk: SmallTalk | None, start: Path | None = None) -> None:
        self.folder = folder / "run"
        self.folder.mkdir(parents=True, exist_ok=True)
        if start and not (self.folder / "tokenizer.json").exists():
            shutil.copy(start / "tokenizer.json", self.folder / "tokenizer.json")
        torch.manual_seed(seed)
        self.seed = seed
        self.talk = talk
        self.tokenizer = _tokenizer(self.folder / "tokenizer.json", talk, seed)
        self.model = new_model(self.tokenizer)
        self.optimizer = Muon(self.model)
        self.step = 0
        self.tokens = 0
        self.seconds = 0.0
        if start:
            # The embedding is tied: it stands once in the file.
            missing, unexpected = self.model.load_state_dict(load_file(start / "model.safetensors"), strict=False)
            if unexpected or set(missing) - {"lm_head.weight"}:
                raise ValueError(f"{start} is no model of this shape: {unexpected or missing}")
        checkpoint = self.folder / "checkpoint.pt"
        if checkpoint.exists():
            state = torch.load(checkpoint, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]
            print(f"going on at step {self.step}, {self.seconds / 60:.1f} minutes", flush=True)

    def save(self) -> None:
        """Write the checkpoint; the old one stays until the new one is whole."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
        }
        torch.save(state, self.folder / "checkpoint.new")
        (self.folder / "checkpoint.new").replace(self.folder / "checkpoint.pt")

    def train(self, minutes: float, decay: float, bf16: bool, peak: float = 1.0) -> None:
        """Train until `minutes` in all are used up; `bf16`: products in bfloat16, weights and sums in fp32."""
        total = minutes * 60
        # Another sitting draws other dialogues.
        batches = _batches(self.tokenizer, self.talk, self.seed + 1000 * self.step)
        saved = before = time.monotonic()
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            while self.seconds < total:
                batch = next(batches)
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    loss = loss_of(self.model, batch)
                loss.backward()  # type: ignore[no-untyped-call]
                norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0))
                rate = learning_rate(self.step, self.seconds, total, decay, peak)
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    self.optimizer.step(rate)
                now = time.monotonic()
                self.seconds += now - before
                before = now
                self.step += 1
                self.tokens += batch.count
                entry = {
                    "step": self.step,
                    "tokens": self.tokens,
                    "seconds": round(self.seconds, 1),
                    "loss": round(loss.item(), 4),
                    "gradient_norm": round(norm, 3),
                    "rate": round(rate, 4),
                }
                log.write(json.dumps(entry) + "\n")
                log.flush()
                if self.step % 20 == 0:
                    print(
                        f"{self.seconds / 60:6.1f} of {minutes:g} min  step {self.step}  "
                        f"{self.tokens / 1e6:.2f} M tokens  {self.tokens / self.seconds:,.0f} tokens/s  "
                        f"loss {entry['loss']}",
                        flush=True,
                    )
                if now - saved > _CHECKPOINT_SECONDS:
                    self.save()
                    saved = now
        self.save()


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.pocket.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run and of the finished model")
    parser.add_argument("--minutes", type=float, default=75.0, help="training time in all (default %(default)s)")
    parser.add_argument(
        "--decay", type=float, default=0.45, help="part of it in which the rate falls (default %(default)s)"
    )
    parser.add_argument("--start", type=Path, help="folder of a finished Pocket that is trained further")
    parser.add_argument("--peak", type=float, default=1.0, help="factor of the learning rates (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small-talk", type=Path, help="Synthetic-Persona-Chat as gzipped JSONL (CC-BY 4.0)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--bf16", action="store_true", help="mixed precision: faster on processors with AVX512-BF16 or AMX"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    talk = read_small_talk(options.small_talk) if options.small_talk else None
    if talk:
        print(
            f"small talk: {len(talk.turns)} exchanges of {talk.dialogues} dialogues, sha256 {talk.sha256}", flush=True
        )
    run = Run(options.out, options.seed, talk, options.start)
    count = sum(parameter.numel() for parameter in run.model.parameters())
    print(f"{count:,} parameters", flush=True)
    run.train(options.minutes, options.decay, options.bf16, options.peak)
    export_model(run.model, run.tokenizer, options.out / "model", CONTEXT)
    print(f"the model lies in {options.out / 'model'}")


if __name__ == "__main__":
    main()
