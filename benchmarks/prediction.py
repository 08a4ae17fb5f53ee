"""Generation memory as planned and as it really was: `python -m benchmarks.prediction`.

For shapes, contexts, rows, trees and chunks an engine with random weights runs the worst moments of a conversation
(engine/rehearsal.py), and the allocator's own record gives the most bytes that were live at once, weights left out.
Unlike a tracker of tensors it sees what kernels take for a moment. The plan must never be below it, and not far above.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from specmemo_chat.bench.measuring.shapes import random_head
from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.catalog.config import spec_from_config
from specmemo_chat.device.probe import probe_cpu
from specmemo_chat.drafters.base import Drafter
from specmemo_chat.drafters.eagle import EagleDrafter
from specmemo_chat.drafters.eagle_config import HeadConfig, parse
from specmemo_chat.drafters.model import ModelDrafter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.rehearsal import rehearse, warm_up
from specmemo_chat.memory.contract import BYTES_PER_VALUE, Plan, buckets_of
from specmemo_chat.memory.drafts import DraftShape, head_shape
from specmemo_chat.memory.footprint import Shape, footprint
from specmemo_chat.models.llama.drawn import drawn_model
from specmemo_chat.models.target import Target
from specmemo_chat.sizes import format_size

_LLAMA = {"model_type": "llama", "max_position_embeddings": 8192, "rope_theta": 10000.0}


def _llama(hidden: int, inner: int, layers: int, heads: int, kv_heads: int, vocab: int, **more: Any) -> dict[str, Any]:
    return {
        **_LLAMA, "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": hidden // heads,
        "vocab_size": vocab, "tie_word_embeddings": True, **more,
    }  # fmt: skip


SHAPES: dict[str, dict[str, Any]] = {
    "8M": _llama(256, 736, 10, 4, 2, 2048),
    "30M": _llama(384, 1024, 8, 6, 6, 16000),
    "30M-qwen3": _llama(384, 1024, 8, 6, 2, 16000, model_type="qwen3", head_dim=64),
    "30M-gemma": _llama(384, 2048, 8, 6, 1, 16000, model_type="gemma", head_dim=64, hidden_act="gelu_pytorch_tanh"),
    "30M-window": _llama(384, 1024, 8, 6, 2, 16000, model_type="mistral", sliding_window=512),
    "110M": _llama(768, 2048, 12, 12, 4, 32000),
    "300M": _llama(1024, 2816, 16, 16, 4, 32000, tie_word_embeddings=False),
}
# Only on demand: 2.2 GiB, 13 GiB in bf16.
LARGE = {"1.1B": "tinyllama-1.1b-chat", "7B": "llama-2-7b-chat"}


@dataclass(frozen=True)
class Case:
    """One measurement. `draft`: none, eagle, eagle3 or model."""

    shape: str
    dtype: str
    context: int
    nodes: int
    chunk: int
    rows: int = 1
    draft: str = "none"

    @property
    def compute(self) -> str:
        """The precision of activations."""
        return self.dtype if self.dtype in BYTES_PER_VALUE else "bf16"

    @property
    def name(self) -> str:
        rows = f", {self.rows} rows" if self.rows > 1 else ""
        draft = f", {self.draft}" if self.draft != "none" else ""
        return f"{self.shape} {self.dtype}, {self.context} tokens{rows}, tree {self.nodes}, chunk {self.chunk}{draft}"


CASES = (
    Case("8M", "fp32", 1024, 32, 256),
    Case("8M", "fp32", 2048, 32, 256),
    Case("8M", "bf16", 1024, 8, 64),
    Case("8M", "fp32", 512, 16, 128, rows=4),
    Case("8M", "fp32", 2048, 64, 32, rows=8),
    Case("30M", "fp32", 1024, 32, 256),
    Case("30M", "bf16", 2048, 64, 128),
    Case("30M", "fp32", 4000, 1, 64),
    Case("30M", "fp32", 512, 8, 512, rows=3),
    Case("30M-qwen3", "fp32", 1024, 32, 256),
    Case("30M-qwen3", "bf16", 2048, 16, 64),
    Case("30M-gemma", "fp32", 1024, 32, 128),
    Case("30M-window", "fp32", 2048, 32, 128),
    Case("110M", "fp32", 2048, 32, 256),
    Case("110M", "bf16", 4096, 64, 512),
    Case("110M", "fp32", 1024, 16, 128, rows=2),
    Case("110M", "bf16", 2048, 32, 128, rows=6),
    Case("300M", "bf16", 2048, 32, 256),
    Case("300M", "fp32", 1024, 64, 64),
    Case("300M", "bf16", 4096, 16, 128, rows=2),
    Case("30M", "fp32", 2048, 32, 128, draft="eagle"),
    Case("110M", "bf16", 2048, 32, 256, draft="eagle3"),
    Case("30M", "fp32", 1024, 16, 128, rows=2, draft="eagle"),
    Case("110M", "fp32", 2048, 16, 128, draft="model"),
    Case("30M", "q8", 1024, 32, 256),
    Case("30M", "q4", 1024, 8, 64),
    Case("30M-qwen3", "q8", 2048, 16, 64),
    Case("30M-gemma", "q4", 1024, 32, 128),
    Case("110M", "q8", 2048, 32, 256),
    Case("110M", "q4", 4096, 64, 512),
    Case("110M", "q8", 1024, 16, 128, rows=4),
    Case("300M", "q8", 512, 64, 256),
    Case("300M", "q4", 512, 16, 256),
    Case("110M", "q8", 2048, 32, 256, draft="eagle3"),
    Case("30M", "q4", 1024, 16, 128, draft="eagle"),
)
LARGE_CASES = {
    "1.1B": (
        Case("1.1B", "bf16", 2048, 32, 256),
        Case("1.1B", "bf16", 4096, 64, 512),
        Case("1.1B", "fp32", 1024, 16, 128),
        Case("1.1B", "q8", 2048, 32, 256),
        Case("1.1B", "q4", 2048, 32, 256),
    ),
    "7B": (Case("7B", "bf16", 4096, 32, 256), Case("7B", "q8", 4096, 32, 256), Case("7B", "q4", 4096, 32, 256)),
}


@dataclass(frozen=True)
class Result:
    """Bytes of generation memory, and the share of the plan that was too much (below 0: too little)."""

    case: Case
    planned: int
    measured: int

    @property
    def excess(self) -> float:
        return self.planned / self.measured - 1

    def as_json(self) -> dict[str, Any]:
        return {
            "case": self.case.name,
            "planned_bytes": self.planned,
            "measured_bytes": self.measured,
            "excess": round(self.excess, 5),
        }


def allocated_peak(run: Callable[[], object]) -> int:
    """The most bytes that torch's allocator had handed out at once, on the CPU, of those that it handed out inside
    `run`; what kernels take for a moment included."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    # Kernels of several threads allocate in the calling one, so the record is in the order of time.
    records = (event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]")
    live = peak = 0
    for record in records:
        live += record.nbytes()
        peak = max(peak, live)
    return peak


def measure(case: Case, seed: int = 1) -> Result:
    """Build the case's model with random weights and run the worst moments of a conversation."""
    config = SHAPES[case.shape] if case.shape in SHAPES else dict(load_catalog()[LARGE[case.shape]].config)
    target = _target(config, case.dtype, case.compute, seed)
    head, make_draft = _draft(case, config, target, seed)
    shape = Shape(
        spec=spec_from_config(case.shape, case.shape, config),
        dtype=case.dtype,  # type: ignore[arg-type]
        compute=case.compute,  # type: ignore[arg-type]
        context=case.context,
        nodes=case.nodes,
        chunk=case.chunk,
        runtime=0,
        rows=case.rows,
        draft=head,
        threads=torch.get_num_threads(),
        tiles=probe_cpu().tiles,
    )
    plan = plan_of(shape)
    # What libraries keep for good is not generation memory: the first steps make them take it.
    warm_up(Engine(target, make_draft(plan), plan, adaptive=False))
    gc.collect()

    def run() -> None:
        rehearse(Engine(target, make_draft(plan), plan, adaptive=False))

    measured = allocated_peak(run)
    return Result(case, plan.generation_bytes, measured)


def plan_of(shape: Shape) -> Plan:
    """The plan of a shape as it is, of a conversation alone: loading is over."""
    return Plan(
        model=shape.spec.name,
        target=shape.spec.location,
        device="cpu",
        dtype=shape.dtype,
        context_tokens=shape.context,
        cap_bytes=0,
        terms=footprint(shape, loading=False),
        kv_dtype=shape.compute,
        draft_dtype=shape.draft.dtype if shape.draft is not None else shape.compute,
        rows=shape.rows,
        growth_tokens=shape.growth,
        node_buckets=buckets_of(shape.nodes, "cpu"),
        tree_depth=shape.depth,
        tree_width=shape.width,
        prefill_chunk=shape.chunk,
        allocate_at_load=shape.allocate_at_load,
    )


def _target(config: dict[str, Any], dtype: str, compute: str, seed: int) -> Target:
    return Target(drawn_model(config, dtype=dtype, compute=compute, device="cpu", seed=seed), frozenset())


def _draft(
    case: Case, config: dict[str, Any], target: Target, seed: int
) -> tuple[DraftShape | None, Callable[[Plan], Drafter | None]]:
    """The draft's shape, and how an engine gets one."""
    if case.draft == "none":
        return None, lambda _plan: None
    if case.draft == "model":
        small = {**SHAPES["30M"], "vocab_size": config["vocab_size"]}
        draft = _target(small, case.dtype, case.compute, seed + 1)
        shape = DraftShape("model", spec_from_config("draft", "draft", small), case.dtype)  # type: ignore[arg-type]
        return shape, lambda plan: ModelDrafter(draft, target, plan)
    head_config = head_of(config, case.draft)
    head = random_head(head_config, target, case.dtype, seed + 1)
    shape = head_shape(head_config, "head", case.dtype)  # type: ignore[arg-type]
    shape = replace(shape, computed=case.compute)  # type: ignore[arg-type]
    return shape, lambda plan: EagleDrafter(head, target, plan)


def head_of(config: dict[str, Any], kind: str) -> HeadConfig:
    """The config of a head beside a target of this config: one layer of its own width."""
    own = {
        **config,
        "num_hidden_layers": 1,
        "architectures": ["LlamaForCausalLMEagle3"] if kind == "eagle3" else ["LlamaForCausalLM"],
    }
    if kind == "eagle3":
        own["draft_vocab_size"] = config["vocab_size"] // 4
    return parse(own)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction", description=__doc__)
    parser.add_argument(
        "--large", action="append", choices=sorted(LARGE), default=[], help="measure this shape too (7B: 16 GiB)"
    )
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default %(default)s)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    cases = [*CASES, *(case for name in options.large for case in LARGE_CASES[name])]
    results = list(_measured([case for case in cases if options.only in case.name], quiet=options.json))
    if options.json:
        print(json.dumps(summary(results)))
    elif results:
        found = summary(results)
        print(
            f"{len(results)} cases: {found['too_little']} planned too little; "
            f"too much: median {100 * found['median_excess']:.2f} %, at most {100 * found['largest_excess']:.2f} %"
        )


def _measured(cases: Iterable[Case], *, quiet: bool) -> Iterable[Result]:
    for case in cases:
        result = measure(case)
        gc.collect()
        if not quiet:
            planned, measured = format_size(result.planned), format_size(result.measured)
            print(f"{result.case.name:58} {planned:>11} {measured:>11} {100 * result.excess:7.2f} %", flush=True)
        yield result


def summary(results: list[Result]) -> dict[str, Any]:
    """The object of `--json`."""
    return {
        "schema": 1,
        "cases": [result.as_json() for result in results],
        "too_little": sum(result.excess < 0 for result in results),
        "median_excess": round(statistics.median(result.excess for result in results), 5),
        "largest_excess": round(max(result.excess for result in results), 5),
    }


if __name__ == "__main__":
    main()
