"""Bytes of the weights of a model and of a draft, per worker: they depend on shapes and formats alone. Needs no torch.

Short names: h hidden, q = heads · head_dim, kv = kv_heads · head_dim, I intermediate, V vocabulary, b bytes of a value
in the compute precision. The bytes of one matrix by its format are in memory/matrices.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.memory.contract import BYTES_PER_VALUE, QUANTISED, Dtype
from specmemo_chat.memory.drafts import DraftShape
from specmemo_chat.memory.matrices import matrix_bytes, packing_bytes, table_bytes, tied_bytes


def target_weights(spec: ModelSpec, dtype: Dtype, compute: Dtype, tp: int = 1, *, cpu: bool = False) -> int:
    """Σ matrices in their format; norms and biases in the compute precision. In q4 models embedding and output matrix
    are q8. A tied output matrix is the embedding itself, but on a CPU a packed one is a copy of its codes.

    Under tp the matrices of the layers, the output matrix and the embedding are shared out, the last two by the
    vocabulary, rounded up; norms and the biases of row-wise split matrices are whole on every worker.
    """
    b = BYTES_PER_VALUE[compute]
    q, kv, inner = _shared(spec, tp)
    layer = sum(matrix_bytes(outputs, inputs, dtype, _on(cpu)) for outputs, inputs in layer_matrices(spec, tp))
    layer += b * ((q + 2 * kv) * spec.qkv_bias + spec.hidden * spec.o_bias)
    layer += b * (2 * inner + spec.hidden) * spec.mlp_bias
    layer += b * (spec.norms_per_layer * spec.hidden + 2 * spec.head_dim * spec.qk_norm)
    words = words_of(spec, tp)
    if spec.tied_embeddings:
        ends = tied_bytes(words, spec.hidden, dtype, _on(cpu))
    else:
        ends = table_bytes(words, spec.hidden, dtype) + matrix_bytes(words, spec.hidden, ends_dtype(dtype), _on(cpu))
    return spec.layers * layer + ends + spec.hidden * b


def lookup_bytes(spec: ModelSpec, dtype: Dtype, tp: int = 1, *, cpu: bool = False) -> int:
    """Of an embedding that is only looked up: 0 where it is the output matrix too."""
    if spec.tied_embeddings and not (cpu and dtype in QUANTISED):
        return 0
    return table_bytes(words_of(spec, tp), spec.hidden, dtype)


def loading_bytes(spec: ModelSpec, dtype: Dtype, tp: int = 1, *, cpu: bool = False) -> int:
    """The most that one matrix takes while it is packed, beside all that is loaded."""
    layer, output = list(layer_matrices(spec, tp)), (words_of(spec, tp), spec.hidden)
    if dtype not in QUANTISED:
        # On a CPU a matrix is put into oneDNN's order, but for a tied one.
        packed = [*layer, *([] if spec.tied_embeddings else [output])] if cpu else []
        return max((matrix_bytes(*matrix, dtype) for matrix in packed), default=0)
    sizes = [packing_bytes(*matrix, dtype, _on(cpu)) for matrix in layer]
    return max(*sizes, packing_bytes(*output, ends_dtype(dtype), _on(cpu)))


def layer_matrices(spec: ModelSpec, tp: int = 1) -> Iterator[tuple[int, int]]:
    """(outputs, inputs) of a layer's matrices: q, k and v are one, gate and up too."""
    h = spec.hidden
    q, kv, inner = _shared(spec, tp)
    yield from ((q + 2 * kv, h), (h, q), (2 * inner, h), (h, inner))


def words_of(spec: ModelSpec, tp: int) -> int:
    """Rows of a worker's embedding and output matrix."""
    return -(-spec.vocab // tp)


def ends_dtype(dtype: Dtype) -> Dtype:
    """The precision of embedding and output matrix."""
    return "q8" if dtype == "q4" else dtype


def _on(cpu: bool) -> str:
    return "cpu" if cpu else "cuda"


def _shared(spec: ModelSpec, tp: int) -> tuple[int, int, int]:
    """One worker's q, kv and I."""
    return spec.heads * spec.head_dim // tp, spec.kv_heads * spec.head_dim // tp, spec.intermediate // tp


def draft_weights(draft: DraftShape | None, *, cpu: bool = False) -> int:
    """A head's own weights; the embedding (EAGLE-1: the output head too) is the target's and counted there.

    With f features of width t a token: EAGLE: fc h·2h, one layer without its first norm. EAGLE-3: fc h·f·t, q/k/v with
    2h inputs, four norms, output head V_draft·h. Both: biases, norms before fc and an embedding where the config has
    them, and the map of the vocabulary, 8 bytes an entry. A draft model: all of it.
    """
    if draft is None:
        return 0
    spec, compute = draft.spec, draft.compute
    if draft.kind == "model":
        return target_weights(spec, draft.dtype, compute, cpu=cpu)
    own = spec.hidden * draft.fc_bias + draft.fc_norms + spec.hidden
    own += (spec.heads + 2 * spec.kv_heads) * spec.head_dim * spec.qkv_bias + 3 * spec.hidden * (draft.kind == "eagle3")
    size = BYTES_PER_VALUE[compute] * own + 8 * draft.vocab
    size += sum(matrix_bytes(outputs, inputs, draft.dtype, _on(cpu)) for outputs, inputs in head_matrices(draft))
    return size + (table_bytes(spec.vocab, spec.hidden, draft.dtype) if draft.own_embedding else 0)


def head_matrices(draft: DraftShape) -> Iterator[tuple[int, int]]:
    """(outputs, inputs) of a head's matrices."""
    h, paired = draft.spec.hidden, draft.kind == "eagle3"
    (qkv, _), *others = layer_matrices(draft.spec)
    yield h, draft.feature_count * draft.target_hidden if paired else 2 * h
    yield qkv, 2 * h if paired else h
    yield from others
    if paired:
        yield draft.vocab, h


def head_file_bytes(draft: DraftShape | None, *, cpu: bool) -> int:
    """A head's files, which are held on the host until all of it is made: 2 bytes a value."""
    if draft is None or draft.kind == "model" or not cpu:
        return 0
    return 2 * sum(outputs * inputs for outputs, inputs in head_matrices(draft))
