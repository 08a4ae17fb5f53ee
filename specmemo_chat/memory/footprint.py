"""What a model, its draft and one step take: integer arithmetic on shapes, per worker. Needs no torch and no device.

The bytes of weights are in memory/weights.py, those of a moment in memory/activations.py. V: the vocabulary; b: bytes
of a value in the compute precision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.memory.activations import (
    CPU_VIEW_STEP,
    FUSED_FAMILIES,
    STEP_ROWS,
    Forward,
    draw_peak,
    layers_peak,
    logits_peak,
    reading_peak,
)
from specmemo_chat.memory.contract import BYTES_PER_VALUE, Dtype, buckets_of
from specmemo_chat.memory.drafts import WAITING_TOKENS, DraftShape
from specmemo_chat.memory.graphs import POOL_BYTES, driver_bytes
from specmemo_chat.memory.products import PRODUCT_BYTES, chunk_products, kept_products, prepared_matrices
from specmemo_chat.memory.terms import Terms
from specmemo_chat.memory.weights import draft_weights, head_file_bytes, loading_bytes, target_weights
from specmemo_chat.sizes import MIB
from specmemo_chat.speculation.tree import draft_scratch

# Resident bytes of a worker after its imports, before the tokenizer and the weights.
CPU_RUNTIME = 420 * MIB
# The CUDA (or ROCm, Metal) context, cuBLAS workspaces and fragmentation: an assumption until the device is measured.
GPU_RUNTIME = 640 * MIB
# A tokenizer's vocabulary and merges in memory: 104 MiB were measured for 150,000 entries.
TOKENIZER_BYTES_PER_ENTRY = 768

# An arena grows to multiples of so many slots, or of the plan's growth step where that is smaller.
CAPACITY_STEP = 64


@dataclass(frozen=True)
class Shape:
    """Everything that a footprint depends on. `compute` is the precision of activations, keys and values; it differs
    from `dtype` where the weights are quantised. `nodes` counts the root, `depth` and `width` limit the trees of a
    draft that has weights; the arenas hold `full_rows` full rows (0: all); `runtime` is bytes, `measured` whether it
    was measured, and so with all that stays prepared; `threads` are those of the processor, 0 on a GPU; `tiles`: it
    multiplies bf16 in tiles; `gpu`: CUDA's or ROCm's, whose models have fused modules too; `graphs`: steps run as CUDA
    graphs; `unpacks`: packed weights are unpacked for every product."""

    spec: ModelSpec
    dtype: Dtype
    compute: Dtype
    context: int
    nodes: int
    chunk: int
    runtime: int
    measured: bool = False
    rows: int = 1
    full_rows: int = 0
    tp: int = 1
    growth: int = 256
    allocate_at_load: bool = False
    draft: DraftShape | None = None
    depth: int = 8
    width: int = 8
    threads: int = 0
    tiles: bool = False
    gpu: bool = False
    graphs: bool = False
    unpacks: bool = False

    @property
    def value_bytes(self) -> int:
        return BYTES_PER_VALUE[self.compute]

    @property
    def graph_bytes(self) -> int:
        """The plan's `graph_bytes`."""
        return driver_bytes(self.spec.layers, head=self.has_head) if self.graphs else 0

    @property
    def products(self) -> int:
        """The plan's `products`: of the target, and of a draft that has weights, a head's `fc` among them."""
        if not self.threads:
            return 0
        fused = is_fused(self.spec)
        matrices = prepared_matrices(self.spec, self.dtype, self.tp, fused=fused)
        if self.draft is not None:
            own = prepared_matrices(self.draft.spec, self.draft.dtype, 1, fused=True)
            matrices += own + (own > 0 and self.has_head)
        chunks = chunk_products(self.spec, self.dtype, self.tp)
        return kept_products(matrices, len(buckets_of(self.nodes, "cpu")), self.rows) + chunks

    @property
    def has_head(self) -> bool:
        """The draft is a head, no model."""
        return self.draft is not None and self.draft.kind != "model"

    @property
    def kv_rows(self) -> int:
        """Full rows that the arenas hold; `rows` shorter ones may share them."""
        return self.full_rows or self.rows

    @property
    def kv_slots(self) -> int:
        """The plan's `kv_slots`: 0 where every row may become full."""
        return self.full_rows * self.capacity if self.kv_rows < self.rows else 0

    @property
    def capacity(self) -> int:
        """Slots of one row: context and tree, rounded up to the arena's step."""
        return -(-(self.context + self.nodes) // self.growth) * self.growth

    @property
    def draft_capacity(self) -> int:
        """Slots of one row of the draft's own arena: context and the levels of a tree, rounded up alike."""
        scratch = draft_scratch(self.nodes, self.depth, self.width)
        return -(-(self.context + scratch) // self.growth) * self.growth


def footprint(shape: Shape, *, greedy: bool = False, loading: bool = True) -> Terms:
    """All terms of a plan. `greedy`: of a conversation in which nothing is drawn at random (a plan allows for it);
    `loading` False: of a conversation alone.

    The moments of a step never come together. So the first of them, the prefill, counts whole, and each later one only
    what it needs beyond those before it: a term of 0 means that the memory is there already. CUDA graphs share no
    memory with what runs without them: scratch and results of a verify step count again. While the target's weights are
    packed nothing of all that is there, nor the draft, and while a head's are neither: such a moment counts where it
    needs more.
    """
    prefill, verify, growth = prefill_peak(shape), verify_peak(shape), growth_transient(shape)
    drawn = logits(shape, greedy=greedy)
    before_logits = max(prefill, verify)
    before_growth = max(before_logits, drawn)
    cpu = shape.threads > 0
    terms = Terms(
        target_weights=target_weights(shape.spec, shape.dtype, shape.compute, shape.tp, cpu=cpu),
        draft_weights=draft_weights(shape.draft, cpu=cpu),
        target_kv=target_kv(shape),
        tree_slots=tree_slots(shape),
        draft_kv=draft_kv(shape),
        prefill_activations=prefill,
        verify_activations=before_logits - prefill + graph_scratch(shape),
        logits=before_growth - before_logits + graph_results(shape),
        draft_features=draft_features(shape) * (2 if shape.graphs else 1),
        growth_transient=max(before_growth, growth) - before_growth,
        runtime=shape.runtime + (0 if shape.measured else shape.products * PRODUCT_BYTES),
    )
    if not loading:
        return terms
    packing = loading_bytes(shape.spec, shape.dtype, shape.tp, cpu=cpu) - terms.draft_weights
    more = max(packing, head_file_bytes(shape.draft, cpu=cpu)) - terms.generation
    return replace(terms, growth_transient=terms.growth_transient + max(0, more))


def total(shape: Shape) -> int:
    """The sum of all terms."""
    return footprint(shape).total


def next_capacity(capacity: int, tokens: int, growth: int) -> int:
    """The slots of a row that an arena of `capacity` takes when it must hold `tokens`: an eighth more at least, so that
    growing copies a token eight times on the average, however long the conversation, where every step reads it.
    `growth` is the plan's step."""
    step = min(growth, CAPACITY_STEP)
    return -(-max(tokens, capacity + capacity // 8) // step) * step


def grown(shape: Shape, tokens: int) -> Shape:
    """`shape` with the arena that a conversation has grown to at `tokens` tokens; with graphs it does not grow."""
    if shape.graphs:
        return shape
    capacity = shape.growth
    while capacity < tokens + shape.nodes:
        capacity = next_capacity(capacity, capacity + 1, shape.growth)
    context = min(capacity, shape.capacity) - shape.nodes
    return replace(shape, context=context, growth=min(shape.growth, CAPACITY_STEP), allocate_at_load=False)


def target_kv(shape: Shape) -> int:
    """2 · layers · kv_heads · head_dim · b · context · full rows, / tp."""
    return shape.spec.kv_bytes_per_token(shape.value_bytes, shape.tp) * shape.context * shape.kv_rows


def tree_slots(shape: Shape) -> int:
    """Key-value bytes of a token × the slots after the context × full rows: the largest bucket's nodes, rounded up to
    the arena's step."""
    per_token = shape.spec.kv_bytes_per_token(shape.value_bytes, shape.tp)
    return per_token * (shape.capacity - shape.context) * shape.kv_rows


def draft_kv(shape: Shape) -> int:
    """2 · draft layers · kv_heads · head_dim · b · slots of the draft's arena; whole on every worker. The slots
    are those of the full rows, and what any row's trees take beyond the target's."""
    if shape.draft is None:
        return 0
    slots = shape.draft_capacity * shape.kv_rows
    if shape.kv_slots:
        more = max(0, draft_scratch(shape.nodes, shape.depth, shape.width) - shape.nodes)
        slots = shape.kv_slots + shape.rows * -(-more // shape.growth) * shape.growth
    return shape.draft.spec.kv_bytes_per_token(shape.draft.value_bytes) * slots


def graph_scratch(shape: Shape) -> int:
    """With CUDA graphs: a verify step's activations in a pool of their own, for a head one more; 54 MiB for each pool,
    and what the driver takes."""
    return verify_peak(shape) + (1 + shape.has_head) * POOL_BYTES + shape.graph_bytes if shape.graphs else 0


def graph_results(shape: Shape) -> int:
    """With CUDA graphs: nodes · V · b where the logits are made and again where they stay, of the target and a head;
    and what a step is given."""
    if not shape.graphs:
        return 0
    nodes, draft = shape.nodes * shape.rows, shape.draft
    words = nodes * shape.spec.vocab * shape.value_bytes
    given = nodes * (32 + shape.capacity)
    if draft is not None and shape.has_head:
        level = max(16, shape.width * shape.rows)
        vocab = draft.vocab if draft.kind == "eagle3" else shape.spec.vocab
        words += level * (vocab + 4 * draft.spec.hidden) * 4
        given += level * (40 + 4 * shape.draft_capacity)
    return 2 * words + given


def prefill_peak(shape: Shape) -> int:
    """The largest moment of a chunk: the target's forward, the logits of its last token, or the draft's forward over
    the same tokens (a head: with those that waited)."""
    chunk = _forward(shape, shape.chunk, 1, shape.context)
    moments = [layers_peak(chunk), logits_peak(chunk, 1), _drawn(shape, 1)]
    if not shape.threads:
        # A prompt's last chunk has fewer tokens, and up to so many are summed in parts.
        moments.append(layers_peak(_forward(shape, min(shape.chunk, STEP_ROWS), 1, shape.context)))
    draft = shape.draft
    if draft is not None and draft.kind == "model":
        moments.append(layers_peak(_draft_forward(shape, draft, shape.chunk, 1)))
    elif draft is not None:
        read = _draft_forward(shape, draft, shape.chunk + WAITING_TOKENS, 1)
        read = replace(read, features=draft.feature_count * draft.target_hidden)
        moments.append(reading_peak(read, shape.value_bytes, paired=draft.kind == "eagle3"))
    return max(moments)


def verify_peak(shape: Shape) -> int:
    """The largest moment of a step before its logits: the target's forward over the trees of all rows, or a level of
    the draft's, with the logits after its nodes in its own precision and fp32 and what a softmax and a topk make."""
    reach = shape.context + shape.nodes
    moments = [layers_peak(_forward(shape, shape.nodes, shape.rows, reach))]
    if shape.rows > 2:
        # Rows that are no neighbours in the arena, at most all but one between them.
        moments.append(layers_peak(replace(_forward(shape, shape.nodes, shape.rows - 1, reach), apart=True)))
    draft = shape.draft
    if draft is not None:
        level = _draft_forward(shape, draft, min(shape.width, shape.nodes), shape.rows)
        words = draft.spec.vocab if draft.kind != "eagle3" else draft.vocab
        drawn = level.count * words * (draft.value_bytes + 12)
        moments += [layers_peak(level), drawn]
    return max(moments)


def _forward(shape: Shape, tokens: int, rows: int, reach: int) -> Forward:
    """The target's forward whose new tokens end at slot `reach`."""
    step = min(shape.growth, CPU_VIEW_STEP) if shape.threads else shape.growth
    return Forward(
        spec=shape.spec,
        dtype=shape.dtype,
        value_bytes=shape.value_bytes,
        tokens=tokens,
        rows=rows,
        view=min(shape.capacity, -(-reach // step) * step),
        tp=shape.tp,
        fused=is_fused(shape.spec),
        threads=shape.threads,
        tiles=shape.tiles,
        unpacks=shape.unpacks,
    )


def is_fused(spec: ModelSpec) -> bool:
    """Whether the model runs by our own module (models/llama)."""
    return spec.model_type in FUSED_FAMILIES


def _draft_forward(shape: Shape, draft: DraftShape, tokens: int, rows: int) -> Forward:
    """A forward of the draft's own at full context. A head has one layer of our own code, like the fused ones; it reads
    features beside embeddings."""
    step = min(shape.growth, CPU_VIEW_STEP) if shape.threads else shape.growth
    reads = draft.feature_count * draft.target_hidden + 3 * draft.spec.hidden if draft.kind != "model" else 0
    return Forward(
        spec=draft.spec,
        dtype=draft.dtype,
        value_bytes=draft.value_bytes,
        tokens=tokens,
        rows=rows,
        view=-(-shape.draft_capacity // step) * step,
        fused=draft.kind != "model" or is_fused(draft.spec),
        threads=shape.threads,
        tiles=shape.tiles,
        unpacks=shape.unpacks,
        features=reads,
    )


def logits(shape: Shape, *, greedy: bool = False) -> int:
    """The largest moment from the logits of a step to its tokens; never a whole prompt's: a prefill keeps the last
    token's."""
    nodes = shape.nodes * shape.rows
    computed = logits_peak(_forward(shape, shape.nodes, shape.rows, shape.context + shape.nodes), nodes)
    return computed if greedy else max(computed, _drawn(shape, nodes))


def _drawn(shape: Shape, nodes: int) -> int:
    return draw_peak(shape.spec.vocab, shape.value_bytes, nodes, shape.context + shape.nodes, on_cpu=shape.threads > 0)


def draft_features(shape: Shape) -> int:
    """Hidden states kept for a head, 1 (EAGLE) or 3 (EAGLE-3) · width · b for each token: of the largest forward, and
    of those that still wait for the head."""
    draft = shape.draft
    if draft is None:
        return 0
    tokens = max(shape.chunk, shape.nodes * shape.rows) + WAITING_TOKENS
    return draft.feature_count * draft.target_hidden * shape.value_bytes * tokens


def growth_transient(shape: Shape) -> int:
    """While an arena grows, the old keys or values of one layer stand beside the new ones: at most a full arena's less
    the step that it grows by, the target's or the draft's, whichever is larger. 0 where all of it is allocated at
    load."""
    if shape.allocate_at_load:
        return 0
    spec, draft, step = shape.spec, shape.draft, min(shape.growth, CAPACITY_STEP)
    one = (spec.kv_heads // shape.tp) * spec.head_dim * shape.value_bytes * (shape.capacity - step)
    if draft is not None:
        per_token = draft.spec.kv_bytes_per_token(draft.value_bytes) // draft.spec.layers // 2
        one = max(one, per_token * (shape.draft_capacity - step))
    return max(0, one * shape.kv_rows) if max(shape.capacity, shape.draft_capacity) > shape.growth else 0


def runtime_bytes(kind: str, vocab: int) -> int:
    """Interpreter, libraries, device context and tokenizer, until they are measured: on a CPU about 420 MiB, the
    resident bytes of a worker after importing torch and transformers' Llama; elsewhere an assumption of 640 MiB for
    context and workspaces. On a CPU the tokenizer's vocabulary is added; a GPU's memory does not hold it.
    """
    return CPU_RUNTIME + TOKENIZER_BYTES_PER_ENTRY * vocab if kind == "cpu" else GPU_RUNTIME
