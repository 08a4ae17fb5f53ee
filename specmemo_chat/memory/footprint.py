"""What a model, its draft and one step take: integer arithmetic on shapes, per worker. Needs no torch and no device.

Short names in the formulas: h hidden, q = heads · head_dim, kv = kv_heads · head_dim, I intermediate, V vocabulary,
b bytes of a value in the compute precision.
"""

from __future__ import annotations

import functools
import importlib.metadata
from dataclasses import dataclass

from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.memory.contract import BYTES_PER_VALUE, Dtype
from specmemo_chat.memory.drafts import WAITING_TOKENS, DraftShape
from specmemo_chat.sizes import MIB
from specmemo_chat.speculation.tree import draft_scratch

TERMS = (
    "target_weights", "draft_weights", "target_kv", "tree_slots", "draft_kv", "prefill_activations",
    "verify_activations", "logits", "draft_features", "growth_transient", "runtime",
)  # fmt: skip

# Resident bytes of a worker after its imports, before the tokenizer and the weights.
CPU_RUNTIME = 420 * MIB
# The CUDA (or ROCm, Metal) context, cuBLAS workspaces and fragmentation: an assumption until the device is measured.
GPU_RUNTIME = 640 * MIB
# A tokenizer's vocabulary and merges in memory: 104 MiB were measured for 150,000 entries.
TOKENIZER_BYTES_PER_ENTRY = 768

# bitsandbytes: values in one block of NF4, with one fp32 scale each; and the 16-value code table of a matrix.
NF4_BLOCK = 64
NF4_TABLE = 16 * 4


@dataclass(frozen=True)
class Shape:
    """Everything that a footprint depends on. `compute` is the precision of activations, keys and values; it differs
    from `dtype` where the weights are quantised. `nodes` counts the root, `depth` and `width` limit the trees of a
    draft that has weights; `runtime` is bytes."""

    spec: ModelSpec
    dtype: Dtype
    compute: Dtype
    context: int
    nodes: int
    chunk: int
    runtime: int
    rows: int = 1
    tp: int = 1
    growth: int = 256
    allocate_at_load: bool = False
    draft: DraftShape | None = None
    depth: int = 8
    width: int = 8

    @property
    def value_bytes(self) -> int:
        return BYTES_PER_VALUE[self.compute]

    @property
    def capacity(self) -> int:
        """Slots of one row: context and tree, rounded up to the arena's step."""
        return -(-(self.context + self.nodes) // self.growth) * self.growth

    @property
    def draft_capacity(self) -> int:
        """Slots of one row of the draft's own arena: context and the levels of a tree, rounded up alike."""
        scratch = draft_scratch(self.nodes, self.depth, self.width)
        return -(-(self.context + scratch) // self.growth) * self.growth


def footprint(shape: Shape) -> dict[str, int]:
    """All terms of CONTRACT.md's `plan --json`, in their order."""
    return {
        "target_weights": target_weights(shape.spec, shape.dtype, shape.compute, shape.tp),
        "draft_weights": draft_weights(shape.draft),
        "target_kv": target_kv(shape),
        "tree_slots": tree_slots(shape),
        "draft_kv": draft_kv(shape),
        "prefill_activations": activations(shape, shape.chunk, 1),
        "verify_activations": activations(shape, shape.nodes, shape.rows),
        "logits": logits(shape),
        "draft_features": draft_features(shape),
        "growth_transient": growth_transient(shape),
        "runtime": shape.runtime,
    }


def total(shape: Shape) -> int:
    """The sum of all terms."""
    return sum(footprint(shape).values())


def matrix_bytes(rows: int, columns: int, dtype: Dtype) -> int:
    """One linear layer's weight: rows · columns · b; int8: 1 byte a value and one fp32 scale a row; NF4: half a byte a
    value, one fp32 scale per block of 64, and a table of 16 fp32."""
    values = rows * columns
    if dtype == "int8":
        return values + 4 * rows
    if dtype == "nf4":
        return -(-values // 2) + 4 * -(-values // NF4_BLOCK) + NF4_TABLE
    return values * BYTES_PER_VALUE[dtype]


def target_weights(spec: ModelSpec, dtype: Dtype, compute: Dtype, tp: int = 1) -> int:
    """Σ parameters × precision, + scales of quantised matrices; embedding, output head and norms are never quantised.

    Under tp the matrices of the layers, the output head and (from transformers 5.23 on) the embedding are shared out;
    norms and the biases of row-wise split matrices are whole on every worker.
    """
    h, kv, b = spec.hidden, spec.kv_heads * spec.head_dim // tp, BYTES_PER_VALUE[compute]
    q, inner = spec.heads * spec.head_dim // tp, spec.intermediate // tp
    layer = matrix_bytes(q, h, dtype) + 2 * matrix_bytes(kv, h, dtype) + matrix_bytes(h, q, dtype)
    layer += 2 * matrix_bytes(inner, h, dtype) + matrix_bytes(h, inner, dtype)
    layer += b * ((q + 2 * kv) * spec.qkv_bias + h * spec.o_bias + (2 * inner + h) * spec.mlp_bias)
    layer += b * (spec.norms_per_layer * h + 2 * spec.head_dim * spec.qk_norm)
    part = -(-spec.vocab // tp) * h * b
    whole = spec.vocab * h * b
    embedding = part if tp == 1 or embedding_is_sharded() else whole
    # A tied output head is the embedding itself, unless only one of the two is split.
    head = 0 if spec.tied_embeddings and embedding == part else part
    return spec.layers * layer + embedding + head + h * b


@functools.cache
def embedding_is_sharded() -> bool:
    """The installed transformers splits the embedding under tensor parallelism: 5.23 does, 5.17 does not. Versions
    between them count as if they did not, which can only plan too much."""
    try:
        version = importlib.metadata.version("transformers")
    except importlib.metadata.PackageNotFoundError:
        return True
    parts = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    return parts >= [5, 23]


def draft_weights(draft: DraftShape | None) -> int:
    """A head's own weights; the embedding (EAGLE-1: the output head too) is the target's and counted there.

    With f features of width t a token: EAGLE: fc h·2h, one layer without its first norm. EAGLE-3: fc h·f·t, q/k/v with
    2h inputs, four norms, output head V_draft·h. Both: biases, norms before fc and an embedding where the config has
    them, and the map of the vocabulary, 8 bytes an entry. A draft model: all of it.
    """
    if draft is None:
        return 0
    spec = draft.spec
    if draft.kind == "model":
        return target_weights(spec, draft.dtype, draft.dtype if draft.dtype in BYTES_PER_VALUE else "bf16")
    h, q, kv = spec.hidden, spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    own = (q + 2 * kv) * spec.qkv_bias + q * h + 3 * h * spec.intermediate + h * draft.fc_bias + draft.fc_norms
    if draft.kind == "eagle":
        own += 2 * h * h + h * (q + 2 * kv) + h
    else:
        own += h * draft.feature_count * draft.target_hidden + 2 * h * (q + 2 * kv) + 4 * h + draft.vocab * h
    own += spec.vocab * h * draft.own_embedding
    return BYTES_PER_VALUE[draft.dtype] * own + 8 * draft.vocab


def target_kv(shape: Shape) -> int:
    """2 · layers · kv_heads · head_dim · b · context · rows, / tp."""
    return shape.spec.kv_bytes_per_token(shape.value_bytes, shape.tp) * shape.context * shape.rows


def tree_slots(shape: Shape) -> int:
    """Key-value bytes of a token × the slots after the context × rows: the largest bucket's nodes, rounded up to the
    arena's step."""
    per_token = shape.spec.kv_bytes_per_token(shape.value_bytes, shape.tp)
    return per_token * (shape.capacity - shape.context) * shape.rows


def draft_kv(shape: Shape) -> int:
    """2 · draft layers · kv_heads · head_dim · b · slots of the draft's arena · rows; whole on every worker."""
    if shape.draft is None:
        return 0
    return shape.draft.spec.kv_bytes_per_token(_draft_value_bytes(shape.draft)) * shape.draft_capacity * shape.rows


def _draft_value_bytes(draft: DraftShape) -> int:
    return BYTES_PER_VALUE.get(draft.dtype, 2)


def activations(shape: Shape, tokens: int, rows: int) -> int:
    """The peak of one forward over `tokens` new tokens in each of `rows` rows, at full context.

    n = tokens · rows, g = heads / kv_heads. Always there: the residual, its normalised copy and the fp32 copies of a
    norm, n·h·(2b + 8); the mask, n·capacity. Then the larger of
    attention: queries, keys, values and their rotated copies 2·n·(q + 2·kv)·b, two copies of the output 2·n·q·b, and
    the mask folded to the grouped queries as truth values and as additive values, g·n·capacity·(1 + b);
    MLP: gate, up and their product, 3·n·I·b.
    """
    spec, b, tp, n = shape.spec, shape.value_bytes, shape.tp, tokens * rows
    q, kv = spec.heads * spec.head_dim // tp, spec.kv_heads * spec.head_dim // tp
    always = n * spec.hidden * (2 * b + 8) + n * shape.capacity
    folded = spec.heads // spec.kv_heads * n * shape.capacity * (1 + b)
    attention = 2 * n * (q + 2 * kv) * b + 2 * n * q * b + folded
    mlp = 3 * n * (spec.intermediate // tp) * b
    return always + max(attention, mlp)


def logits(shape: Shape) -> int:
    """nodes · rows · V · (b + 4): the forward's values and the fp32 copy that is sampled from. Never a whole prompt's:
    a prefill keeps the last token's."""
    return shape.nodes * shape.rows * shape.spec.vocab * (shape.value_bytes + 4)


def draft_features(shape: Shape) -> int:
    """Hidden states kept for a head, 1 (EAGLE) or 3 (EAGLE-3) · width · b for each token: of the largest forward, and
    of those that still wait for the head."""
    draft = shape.draft
    if draft is None:
        return 0
    tokens = max(shape.chunk, shape.nodes * shape.rows) + WAITING_TOKENS
    return draft.feature_count * draft.target_hidden * shape.value_bytes * tokens


def growth_transient(shape: Shape) -> int:
    """One layer's keys and values at full capacity: the old tensor beside the new one while an arena grows, the
    target's or the draft's, whichever is larger. 0 where all of it is allocated at load."""
    if shape.allocate_at_load:
        return 0
    spec, draft = shape.spec, shape.draft
    layer = 2 * (spec.kv_heads // shape.tp) * spec.head_dim * shape.value_bytes * shape.capacity
    if draft is not None:
        draft_layer = draft.spec.kv_bytes_per_token(_draft_value_bytes(draft)) // draft.spec.layers
        layer = max(layer, draft_layer * shape.draft_capacity)
    return layer * shape.rows


def runtime_bytes(kind: str, vocab: int, measured: int | None = None) -> int:
    """Interpreter, libraries, device context and tokenizer.

    `measured` is what the device's own measurement says, once there is one. Until then: on a CPU about 420 MiB, the
    resident bytes of a worker after importing torch and transformers' Llama; elsewhere an assumption of 640 MiB for
    context and workspaces. On a CPU the tokenizer's vocabulary is added; a GPU's memory does not hold it.
    """
    if measured is not None:
        return measured
    return CPU_RUNTIME + TOKENIZER_BYTES_PER_ENTRY * vocab if kind == "cpu" else GPU_RUNTIME
