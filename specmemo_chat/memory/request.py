"""What the user set, and the shape of memory that it asks for before any concession."""

from __future__ import annotations

from dataclasses import dataclass, replace

from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.errors import Flag, UsageError
from specmemo_chat.memory.activations import FUSED_FAMILIES
from specmemo_chat.memory.contract import BYTES_PER_VALUE, NODE_BUCKETS, QUANTISED, Dtype
from specmemo_chat.memory.drafts import DraftShape
from specmemo_chat.memory.footprint import Shape, runtime_bytes
from specmemo_chat.memory.matrices import GROUP
from specmemo_chat.profiles import Profile

# A model whose layers have at most so many weights runs in fp32 on a CPU: what a product of small matrices costs is the
# call, and oneDNN's, which multiply bf16, cost two to three times MKL's (measured: docs/notes/kernels.md).
_SMALL_LAYER = 1 << 20


@dataclass(frozen=True)
class PlanRequest:
    """What the user set. 0, None and "auto": not set. `max_memory` is bytes per worker.

    `draft` is "auto", "none", "ngram" or the location of a draft with weights, whose shape is `head`; under "auto" the
    planner may leave the head out, a head that the user named stays. `gpus_available` bounds the `--gpus` that a
    fix may name. The `tp` workers run on `nodes` machines. `notes` are sentences for the user.
    """

    max_memory: int = 0
    context: int = 0
    dtype: Dtype | None = None
    draft: str = "auto"
    rows: int = 1
    tp: int = 1
    head: DraftShape | None = None
    gpus_available: int = 1
    nodes: int = 1
    notes: tuple[str, ...] = ()

    @property
    def head_may_go(self) -> bool:
        """The user did not ask for this head."""
        return self.draft == "auto"


def check(spec: ModelSpec, request: PlanRequest) -> None:
    """Raise UsageError where the request makes no sense for this model."""
    if request.context > spec.max_context:
        raise UsageError(
            f"--ctx-size {request.context} is more than {spec.name} was made for ({spec.max_context} tokens)",
            Flag("--ctx-size", str(spec.max_context)),
        )
    for what, size in (("key-value heads", spec.kv_heads), ("heads", spec.heads), ("MLP columns", spec.intermediate)):
        if size % request.tp:
            raise UsageError(
                f"{spec.name} cannot be shared out over {request.tp} workers: it has {size} {what}",
                Flag("--gpus", str(max(count for count in range(1, request.tp) if shares_out(spec, count)))),
            )
    if request.dtype in QUANTISED and spec.model_type not in FUSED_FAMILIES:
        raise UsageError(
            f"{spec.name} runs by its publisher's code, which has no weights in {request.dtype}",
            Flag("--dtype", "bf16"),
        )
    if request.dtype == "q4" and not in_groups(spec, request.tp):
        shared = f" shared out over {request.tp} workers" if request.tp > 1 else ""
        raise UsageError(
            f"{spec.name}{shared} cannot be in q4: the inputs of its matrices are no multiples of {GROUP}",
            Flag("--dtype", "q8"),
        )


def shares_out(spec: ModelSpec, workers: int) -> bool:
    """Heads and MLP columns divide evenly among `workers`."""
    return all(size % workers == 0 for size in (spec.kv_heads, spec.heads, spec.intermediate))


def in_groups(spec: ModelSpec, workers: int) -> bool:
    """The inputs of every matrix of a layer, as they are shared out, come in whole groups of q4."""
    shared = (spec.heads * spec.head_dim, spec.intermediate)
    return spec.hidden % GROUP == 0 and all(size % (GROUP * workers) == 0 for size in shared)


def start(spec: ModelSpec, device: DeviceInfo, profile: Profile, request: PlanRequest) -> Shape:
    """The shape that is aimed at, its runtime assumed."""
    dtype = request.dtype or auto_dtype(device, spec)
    context = request.context or min(profile.context, spec.max_context)
    return Shape(
        spec=spec,
        dtype=dtype,
        compute=compute_dtype(dtype, device),
        context=context,
        nodes=1 if request.draft == "none" else bucket(nodes_of_a_row(profile.tree_nodes, request.rows, device.kind)),
        chunk=min(profile.prefill_chunk, context),
        runtime=runtime_bytes(device.kind, spec.vocab),
        rows=request.rows,
        tp=request.tp,
        growth=profile.growth_tokens,
        draft=request.head,
        depth=profile.tree_depth,
        width=profile.tree_width,
        threads=device.threads if device.kind == "cpu" else 0,
        tiles=device.tiles,
        gpu=device.kind in ("cuda", "rocm"),
        unpacks=not device.multiplies_packed,
        graphs=device.kind == "cuda" and request.tp == 1,
        # Graphs name addresses: an arena that grows would cost all of them.
        allocate_at_load=device.kind == "cuda" and request.tp == 1,
    )


def nodes_of_a_row(nodes: int, rows: int, kind: str) -> int:
    """Of a batch every row gets a smaller tree: all together as many nodes as two rows alone, on a GPU, where a
    node costs little beside the weights, as five; but 8 at the least."""
    together = 2 if kind == "cpu" else 5
    return nodes if rows == 1 else min(nodes, max(8, together * nodes // rows))


def auto_dtype(device: DeviceInfo, spec: ModelSpec | None = None) -> Dtype:
    """That of a packed file. CUDA: bf16 from compute capability 8.0 on, below it fp16. ROCm bf16, MPS fp16. CPU bf16
    where it is native, but fp32 for models with the smallest layers."""
    for packed in QUANTISED:
        if spec is not None and spec.own_precision == packed:
            return packed
    if device.kind == "cuda":
        return "bf16" if (device.compute_capability or (0, 0)) >= (8, 0) else "fp16"
    if device.kind == "cpu":
        return "fp32" if not device.native_bf16 or (spec is not None and spec.layer_values <= _SMALL_LAYER) else "bf16"
    return "bf16" if device.kind == "rocm" else "fp16"


def in_own_precision(draft: DraftShape, device: DeviceInfo) -> DraftShape:
    """The draft in fp32 where it is small and runs on a CPU, whatever the target's precision is."""
    if device.kind == "cpu" and draft.spec.layer_values <= _SMALL_LAYER:
        return replace(draft, dtype="fp32")
    return draft


def compute_dtype(dtype: Dtype, device: DeviceInfo) -> Dtype:
    """The precision of activations, keys and values: the weights' own, or the device's where they are quantised."""
    return dtype if dtype in BYTES_PER_VALUE else auto_dtype(device)


def bucket(nodes: int) -> int:
    """The largest node bucket that is at most `nodes`."""
    return max(size for size in NODE_BUCKETS if size <= max(1, nodes))
