"""What a forward and a step hold for a moment: integer arithmetic on shapes, per worker. Needs no torch.

Tensors of different moments are never there together, so a step takes its largest moment, not their sum. The formulas
follow the code: models/target.py (masks), models/llama (our own module), transformers' own layers elsewhere,
engine/sampler.py (draws). `python -m benchmarks.prediction` holds them against the allocator.

Short names: n new tokens of all rows, h hidden, q = heads · head_dim, kv = kv_heads · head_dim, I intermediate, V
vocabulary, g = heads / kv_heads, b bytes of a value in the compute precision.
"""

from __future__ import annotations

from dataclasses import dataclass

from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.memory.contract import QUANTISED, Dtype
from specmemo_chat.memory.matrices import product_bytes
from specmemo_chat.memory.weights import ends_dtype, words_of
from specmemo_chat.sizes import MIB

# The model families with an own module (models/llama).
FUSED_FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma")
# On a CPU a forward sees the arena in steps of so many slots, or of a smaller growth step (kv/arena.py).
CPU_VIEW_STEP = 64
# Nodes whose distributions are computed together (engine/sampler.py), on a GPU and on a CPU, where a call costs little;
# and bytes for each of them and each word of the vocabulary: scores, their sorted copy with indices, softmax and
# cumulative sum.
DRAWN_AT_ONCE, DRAWN_ON_CPU = 32, 8
DRAW_BYTES = 26
# torch's attention on a CPU works on so many keys at once, and on so many queries from so many queries on.
_KEY_BLOCK = 512
_QUERY_BLOCKS = ((768, 256), (192, 64), (0, 32))
# In bf16 a processor with tiles packs keys and values for so many queries and keys or more, in blocks of so many.
_TILES = 64
# On a GPU the inputs of a narrow matrix are summed in up to so many parts, for so many rows at the most and so many
# sums a row (models/matrices/triton_products.py). Keys are in parts of so many slots
# (models/triton_attention.py).
_PARTS, STEP_ROWS, _SPLIT_OUTPUTS = 8, 128, 1 << 15
_PART_SLOTS = 512
# Where there is no kernel a block of outputs is unpacked at a time: so many bytes with what it is made from, for so
# many rows at the least (models/matrices/gpu.py).
_UNPACKED_BLOCK, _TILE_ROWS = 40 * MIB, 16
# Chunks of a prompt of more rows have q4 weights unpacked (models/matrices/q4.py).
_CHUNK_ROWS = 48
# A node's token, its index and its uniform number, and the sums over its distribution.
_NODE_BYTES = 64
# The nodes of a tree, the indices of a packing: integers of 8 bytes for each token.
_TOKEN_IDS = 5 * 8


@dataclass(frozen=True)
class Forward:
    """`rows` rows of `tokens` new tokens each through one model that sees `view` slots.

    `value_bytes` b; `fused`: by the fused modules; `threads`: processors that torch's attention uses, 0 on a GPU, whose
    kernels keep their scratch in registers. `features`: hidden states of the model kept for a head, values per token.
    `apart`: the rows are no neighbours in the arena. `tiles`: the processor multiplies bf16 in tiles (AMX). `unpacks`:
    packed weights are unpacked for every product.
    """

    spec: ModelSpec
    dtype: Dtype
    value_bytes: int
    tokens: int
    rows: int
    view: int
    tp: int = 1
    fused: bool = False
    threads: int = 0
    features: int = 0
    apart: bool = False
    tiles: bool = False
    unpacks: bool = False

    @property
    def count(self) -> int:
        """n: new tokens of all rows."""
        return self.tokens * self.rows

    @property
    def q(self) -> int:
        return self.spec.heads * self.spec.head_dim // self.tp

    @property
    def kv(self) -> int:
        return self.spec.kv_heads * self.spec.head_dim // self.tp

    @property
    def chunk(self) -> bool:
        """It may be a chunk of a prompt that is multiplied otherwise than the nodes of trees."""
        return self.rows == 1 and self.tokens > _CHUNK_ROWS

    @property
    def group(self) -> int:
        return self.spec.heads // self.spec.kv_heads


def layers_peak(forward: Forward) -> int:
    """The largest moment of a forward before its logits."""
    return max(_masking(forward), _held(forward) + max(_attention(forward), _mlp(forward), _norm(forward)))


def reading_peak(forward: Forward, feature_bytes: int, *, paired: bool) -> int:
    """While a draft head (drafters/eagle_head.py) reads committed tokens, of which it makes keys and values only.

    The larger of three moments. Features f·n put together in the target's precision, of `feature_bytes` a value, and in
    the head's own, and the states n·h·b made of them. States, embeddings, the two beside each other and normalised
    (`paired`, EAGLE-3; EAGLE: beside each other and mixed). What the layer reads, q, k and v, and the rotated ones, in
    fp32. Beside each of the last two: the turns, 6 · head_dim bytes a token.
    """
    spec, n, b = forward.spec, forward.count, forward.value_bytes
    h, f, q, kv = spec.hidden, forward.features, forward.q, forward.kv
    exact = 4 if b < 4 else 0
    mixed = f * feature_bytes + (f * b if b != feature_bytes else 0) + (h * b if paired else 0)
    normed = (6 * h * b + 2 * h * exact) if paired else 5 * h * b
    rotated = (2 + 2 * paired) * h * b + (q + 2 * kv) * b + (q + kv) * (b + exact)
    both = 2 * h if paired else h
    mixing = _packed(forward, n, h, f if paired else 2 * h, forward.dtype) // n + f * b
    packed = (2 + 2 * paired) * h * b + _packed(forward, n, q + 2 * kv, both, forward.dtype) // n
    return n * (2 * 8 + max(mixed, mixing, 6 * spec.head_dim + max(normed, rotated, packed)))


def logits_peak(forward: Forward, kept: int) -> int:
    """The moment at which the logits of `kept` tokens are computed: kept · V · b beside masks and last states."""
    spec, n, b = forward.spec, forward.count, forward.value_bytes
    words = words_of(spec, forward.tp)
    made = _packed(forward, kept, words, spec.hidden, ends_dtype(forward.dtype))
    return _given(forward) + n * (spec.hidden + forward.features) * b + max(kept * spec.vocab * b, made)


def draw_peak(vocab: int, value_bytes: int, nodes: int, text: int, *, on_cpu: bool) -> int:
    """The moment at which the tokens of `nodes` nodes are drawn with every processor on: nodes · V · b logits and, for
    those drawn at once, the text before each (8 bytes a token) and the larger of what the penalty makes of it
    (17 bytes a token beside scores and copy) and of what top-p and the draw make of the vocabulary."""
    drawn = min(nodes, DRAWN_ON_CPU if on_cpu else DRAWN_AT_ONCE)
    work = 8 * text + max(17 * text + 8 * vocab, DRAW_BYTES * vocab)
    return nodes * (vocab * value_bytes + _NODE_BYTES) + drawn * work


def _mask(forward: Forward) -> tuple[int, int]:
    """Bytes of the mask as truth values and as values that are added to the scores of `group` queries a key."""
    cells = forward.count * forward.view
    return cells, forward.group * cells * forward.value_bytes


def _by_type(spec: ModelSpec) -> bool:
    """Some layers slide and some do not: both masks are kept."""
    return spec.sliding_window > 0 and not all(spec.sliding_layers)


def _given(forward: Forward) -> int:
    """What a forward is given: token ids, positions and slots, and the masks."""
    truth, added = _mask(forward)
    return _TOKEN_IDS * forward.count + truth + added * (2 if _by_type(forward.spec) else 1)


def _masking(forward: Forward) -> int:
    """While masks are made: the unfolded mask beside the folded one; for a window the slots' positions, and the
    distances, 8 bytes a cell."""
    truth, added = _mask(forward)
    unfolded = truth * forward.value_bytes if forward.group > 1 else truth
    moment = truth + added + unfolded
    if forward.spec.sliding_window:
        positions = 8 * forward.rows * forward.view
        moment = positions + truth + added + max(10 * truth, truth + added + unfolded)
    return _TOKEN_IDS * forward.count + moment


def _held(forward: Forward) -> int:
    """While the layers run: what was given, rotary tables, embeddings, the residual, features for a head."""
    spec, n, b = forward.spec, forward.count, forward.value_bytes
    embedded = 2 if spec.layers > 1 else 1
    return _given(forward) + n * b * (2 * spec.head_dim + embedded * spec.hidden + forward.features)


def _attention(forward: Forward) -> int:
    """The larger of rotation and attention; of transformers' own modules beside the normalised input n·h·b.

    Fused: q, k and v in one tensor n·(q + 2·kv)·b; rotation has three more of n·(q + kv)·b (four with norms of queries
    and keys), on a GPU of n·q·b and then of the keys; attention has the rotated one, the folded queries and the output.
    Else: q, k, v, and three of n·q·b for rotation.
    """
    spec, n, b = forward.spec, forward.count, forward.value_bytes
    q, kv, grouped = forward.q, forward.kv, forward.group > 1
    packed = forward.rows > 1
    # Packed rows are laid beside each other for the attention and gathered again, each by way of a copy.
    folded = 2 * q if packed else q * grouped
    gathered = 2 * q if packed else q * grouped
    if forward.fused and not forward.threads:
        turning = (q + 2 * kv) + max((4 if spec.qk_norm else 3) * q, q + (4 if spec.qk_norm else 3) * kv)
        attending = (q + 2 * kv) + kv + folded + q
    elif forward.fused:
        turning = (q + 2 * kv) + (4 if spec.qk_norm else 3) * (q + kv)
        attending = (q + 2 * kv) + (q + kv) + folded + q
    else:
        turning = (q + 2 * kv) + 3 * q
        attending = q + folded + q
    norm = 12 * n * q if spec.qk_norm else 0
    scratch = max(_scratch(forward), n * gathered * b)
    inside = max(n * b * turning, n * b * (q + 2 * kv) + norm, n * b * attending + scratch + _copied(forward))
    projected = _packed(forward, n, q + 2 * kv, spec.hidden, forward.dtype)
    summed = n * q * b + _packed(forward, n, spec.hidden, q, forward.dtype)
    own = 0 if forward.fused else n * spec.hidden * b
    projected = max(projected, n * b * (q + 2 * kv))
    return max(own + inside, _normed(forward) + projected, summed)


def _copied(forward: Forward) -> int:
    """One layer's keys and values of rows that are no neighbours in the arena are copied."""
    return 2 * forward.kv * forward.value_bytes * forward.view * forward.rows if forward.apart else 0


def _scratch(forward: Forward) -> int:
    """torch's attention on a CPU: for each thread scores of a block (fp32, and in b where that is smaller), their
    maxima and sums, and a block of the output; and one sum for each query and head. On a GPU the sums, maxima and
    totals of the parts of a step's keys, in fp32."""
    if not forward.threads:
        parts = -(-forward.view // _PART_SLOTS)
        split = parts > 1 and forward.count <= STEP_ROWS and not forward.unpacks
        return 4 * parts * forward.count * (forward.q + 2 * forward.spec.heads // forward.tp) * split
    queries = forward.group * forward.tokens
    block = min(queries, next(size for least, size in _QUERY_BLOCKS if queries >= least))
    keys = min(_KEY_BLOCK, forward.view)
    values = 4 * (block * keys + 2 * block + block * forward.spec.head_dim)
    if forward.value_bytes < 4:
        values += block * keys * forward.value_bytes
    return forward.threads * values + 4 * forward.count * forward.spec.heads // forward.tp + _tiled(forward, queries)


def _tiled(forward: Forward, queries: int) -> int:
    """What torch's attention packs for tiles: all keys and values, and a block of keys a thread."""
    if not forward.tiles or forward.value_bytes == 4 or min(queries, forward.view) < _TILES:
        return 0
    head_dim, heads = forward.spec.head_dim, forward.spec.kv_heads // forward.tp
    width = head_dim + -(-head_dim // _TILES) * _TILES
    slots = -(-forward.view // _TILES) * _TILES
    block = forward.threads * min(_KEY_BLOCK, forward.view) * head_dim
    return forward.value_bytes * (forward.rows * heads * slots * width + block)


def _mlp(forward: Forward) -> int:
    """Beside the layer's input n·h·b: the normalised one with gate and up; these with the activation, 3·n·I·b; or that
    with the output. Of transformers' own modules the normalised input stays."""
    spec, n, b = forward.spec, forward.count, forward.value_bytes
    inner = spec.intermediate // forward.tp
    values = max(3 * inner, 2 * inner + spec.hidden, inner + spec.hidden) + (0 if forward.fused else spec.hidden)
    widened = _normed(forward) + _packed(forward, n, 2 * inner, spec.hidden, forward.dtype)
    narrowed = n * inner * b + _packed(forward, n, spec.hidden, inner, forward.dtype)
    return n * spec.hidden * b + max(n * b * values, widened, narrowed)


def _norm(forward: Forward) -> int:
    """Beside the layer's input a norm works in fp32: two copies of n·h where b is 4, else three and the result."""
    n, h, b = forward.count, forward.spec.hidden, forward.value_bytes
    return n * h * (12 if b == 4 else 12 + 2 * b)


def _normed(forward: Forward) -> int:
    """The normalised input of a product; q8 on a CPU makes its codes of the input itself."""
    own = forward.dtype == "q8" and forward.threads
    return 0 if own else forward.count * forward.spec.hidden * forward.value_bytes


def _packed(forward: Forward, rows: int, outputs: int, inputs: int, dtype: Dtype) -> int:
    """What a product holds beside its inputs, its result included: of a packed weight on a CPU by memory/matrices.py;
    on a GPU the sums of the parts of its inputs; of a packed weight where there is no kernel the inputs in 8 bits and
    what they are made from, the sums, and an unpacked block. 0 for others: their result is counted where it is used."""
    packed, result = dtype in QUANTISED, rows * outputs * forward.value_bytes
    if packed and forward.threads:
        return product_bytes(
            rows, outputs, inputs, dtype, forward.value_bytes, threads=forward.threads, chunk=forward.chunk
        )
    if packed and forward.unpacks:
        return result + max(rows, _TILE_ROWS) * (24 * inputs + 4 * outputs) + _UNPACKED_BLOCK
    if forward.threads or forward.unpacks:
        return 0
    return result + (4 * rows * min(_PARTS * outputs, _SPLIT_OUTPUTS) if rows <= STEP_ROWS else 0)
