"""Attention of draft trees as Triton kernels: every node sums its own path's keys where plain decoding would.

A node's keys are numbered by their positions in its text: the committed slots, then its own path in depth order,
wherever those nodes' slots are. They are read in blocks of fixed positions with a running maximum, and the blocks are
summed in parts of fixed positions (Flash-Decoding, Dao et al. 2023), so that its result has the same bits whatever else
is in the tree: the root of a later step, with the same text before it, gets them too.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from specmemo_chat.models.triton_types import STAGES, dot_type

# Keys of a block, and blocks of a part: a part is a program of its own.
_BLOCK, _PART = 64, 8
_LOG2E = 1.4426950408889634


def tree_attention(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    paths: torch.Tensor,
    view: int,
    scale: float,
) -> torch.Tensor:
    """`query` [T, heads, d] over `keys` and `values` [places, kv_heads, capacity, d] of an arena's layer, to the like.

    `paths` int32 [4 + D, T] is what each node sees (models/paths.py); neighbours of one place share the reading of what
    is committed there. No node's text is longer than `view`.
    """
    tokens, heads, width = query.shape
    kv_heads = keys.shape[1]
    group = heads // kv_heads
    # Tiles follow from the model alone. Few nodes each: behind what they share, a tile reads their paths one by one.
    nodes = max(1, min(4, 16 // group))
    parts = triton.cdiv(view, _BLOCK * _PART)
    out = query.new_empty(query.shape)
    sums, weights = out, out
    if parts > 1:
        sums = query.new_empty((parts, tokens, heads, width), dtype=torch.float32)
        weights = query.new_empty((parts, tokens, heads, 2), dtype=torch.float32)
    wide = max(16, triton.next_power_of_2(width))
    dot = dot_type(query.dtype)
    with torch.cuda.device_of(query):
        _attend[triton.cdiv(tokens, nodes), kv_heads, parts](
            *(query, keys, values, paths, sums, weights),
            *(tokens, query.stride(0), query.stride(1), keys.stride(0), keys.stride(1), keys.stride(2)),
            *(values.stride(0), values.stride(1), values.stride(2)),
            scale * _LOG2E,
            GROUP=group,
            NODES=nodes,
            ROWS=max(16, triton.next_power_of_2(nodes * group)),
            WIDTH=width,
            WIDE=wide,
            BLOCK=_BLOCK,
            PART=_PART,
            DIRECT=parts == 1,
            DOT=dot,
            num_warps=4,
            num_stages=min(STAGES, 2),
            enable_fp_fusion=False,
        )
        if parts > 1:
            _merge[tokens, heads](
                *(sums, weights, paths, out, tokens, heads),
                SPAN=_BLOCK * _PART,
                WIDTH=width,
                WIDE=wide,
                num_warps=1,
                enable_fp_fusion=False,
            )
    return out


@triton.jit
def _read(acc, top, total, q, keys, values, slots, seen, mine, key_stride, value_stride, scale,
          WIDTH: tl.constexpr, WIDE: tl.constexpr, DOT: tl.constexpr):  # fmt: skip
    """One block more for the rows that are `mine`: `slots` [BLOCK] of its keys (negative: none) and which of them each
    row has `seen`."""
    d = tl.arange(0, WIDE)
    held = slots >= 0
    at = slots[None, :].to(tl.int64) * key_stride + d[:, None]
    k = tl.load(keys + at, mask=held[None, :] & (d < WIDTH)[:, None], other=0.0)
    scores = tl.dot(q.to(DOT), k.to(DOT), input_precision="ieee") * scale
    scores = tl.where(seen, scores, float("-inf"))
    higher = tl.maximum(top, tl.max(scores, 1))
    # Of a row that has seen nothing yet the maximum is no number to subtract.
    base = tl.where(higher == float("-inf"), 0.0, higher)
    factor = tl.exp2(top - base)
    p = tl.exp2(scores - base[:, None])
    at = slots[:, None].to(tl.int64) * value_stride + d[None, :]
    v = tl.load(values + at, mask=held[:, None] & (d < WIDTH)[None, :], other=0.0)
    summed = tl.dot(p.to(v.dtype).to(DOT), v.to(DOT), acc * factor[:, None], input_precision="ieee")
    acc = tl.where(mine[:, None], summed, acc)
    total = tl.where(mine, total * factor + tl.sum(p, 1), total)
    return acc, tl.where(mine, higher, top), total


@triton.jit(do_not_specialize=["tokens"])
def _attend(
    query, keys, values, paths, sums, weights, tokens,
    query_node, query_head, key_place, key_head, key_slot, value_place, value_head, value_slot, scale,
    GROUP: tl.constexpr, NODES: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr, WIDE: tl.constexpr,
    BLOCK: tl.constexpr, PART: tl.constexpr, DIRECT: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    """`NODES` nodes, the heads of one group, one part of the positions: sums [parts, T, heads, d] and their weights
    [parts, T, heads, 2] (maximum and total), or the result where there is but one part."""
    first = tl.program_id(0) * NODES
    head, part = tl.program_id(1), tl.program_id(2)
    row = tl.arange(0, ROWS)
    node = first + row // GROUP
    exists = (row < NODES * GROUP) & (node < tokens)
    heads = tl.num_programs(1) * GROUP
    at = node.to(tl.int64) * query_node + (head * GROUP + row % GROUP) * query_head
    d = tl.arange(0, WIDE)
    q = tl.load(query + at[:, None] + d[None, :], mask=exists[:, None] & (d < WIDTH)[None, :], other=0.0)
    place = tl.load(paths + node, mask=exists, other=-1)
    # Of all that is read together, those before it are hidden.
    least = tl.load(paths + 3 * tokens + node, mask=exists, other=0)

    acc = tl.zeros((ROWS, WIDE), dtype=tl.float32)
    top = tl.full((ROWS,), float("-inf"), dtype=tl.float32)
    total = tl.zeros((ROWS,), dtype=tl.float32)
    key = tl.arange(0, BLOCK)
    begin = tl.maximum(part * PART, tl.min(tl.where(exists, least, 1 << 30)) // BLOCK)
    end = part * PART + PART

    # Blocks of what is committed at the first node's place, for all nodes that are there.
    common = tl.load(paths + first)
    shared = tl.load(paths + tokens + first) // BLOCK
    k_at = keys + common.to(tl.int64) * key_place + head * key_head
    v_at = values + common.to(tl.int64) * value_place + head * value_head
    for block in range(begin, min(end, shared)):
        p = block * BLOCK + key
        seen = p[None, :] >= least[:, None]
        acc, top, total = _read(
            acc, top, total, q, k_at, v_at, p, seen, place == common, key_slot, value_slot, scale, WIDTH, WIDE, DOT
        )
    # The rest, node by node.
    for index in range(NODES):
        one = first + index
        if one < tokens:
            where = tl.load(paths + one)
            committed = tl.load(paths + tokens + one)
            last = committed + tl.load(paths + 2 * tokens + one)
            k_at = keys + where.to(tl.int64) * key_place + head * key_head
            v_at = values + where.to(tl.int64) * value_place + head * value_head
            for block in range(max(begin, tl.where(where == common, shared, 0)), min(end, last // BLOCK + 1)):
                p = block * BLOCK + key
                own = (p >= committed) & (p <= last)
                slots = tl.where(p < committed, p, -1)
                slots = tl.load(paths + (4 + p - committed) * tokens + one, mask=own, other=slots)
                seen = (p >= tl.load(paths + 3 * tokens + one)) & (p <= last)
                acc, top, total = _read(
                    acc, top, total, q, k_at, v_at, slots, seen[None, :] & (row >= 0)[:, None], row // GROUP == index,
                    key_slot, value_slot, scale, WIDTH, WIDE, DOT,
                )  # fmt: skip
    at = node.to(tl.int64) * heads + head * GROUP + row % GROUP
    mask = exists[:, None] & (d < WIDTH)[None, :]
    if DIRECT:
        total = tl.where(exists, total, 1.0)
        tl.store(sums + at[:, None] * WIDTH + d[None, :], (acc / total[:, None]).to(sums.dtype.element_ty), mask=mask)
    else:
        at += part.to(tl.int64) * tokens * heads
        tl.store(sums + at[:, None] * WIDTH + d[None, :], acc, mask=mask)
        tl.store(weights + at * 2, top, mask=exists)
        tl.store(weights + at * 2 + 1, total, mask=exists)


@triton.jit(do_not_specialize=["tokens"])
def _merge(sums, weights, paths, out, tokens, heads, SPAN: tl.constexpr, WIDTH: tl.constexpr, WIDE: tl.constexpr):
    """The parts of one node and head up to its own position, in their order."""
    node, head = tl.program_id(0), tl.program_id(1)
    d = tl.arange(0, WIDE)
    parts = (tl.load(paths + tokens + node) + tl.load(paths + 2 * tokens + node)) // SPAN + 1
    top = float("-inf")
    for part in range(parts):
        top = tl.maximum(top, tl.load(weights + ((part * tokens + node).to(tl.int64) * heads + head) * 2))
    total = 0.0
    acc = tl.zeros((WIDE,), dtype=tl.float32)
    for part in range(parts):
        at = (part * tokens + node).to(tl.int64) * heads + head
        factor = tl.exp2(tl.load(weights + at * 2) - top)
        total += factor * tl.load(weights + at * 2 + 1)
        acc += factor * tl.load(sums + at * WIDTH + d, mask=d < WIDTH, other=0.0)
    at = (node.to(tl.int64) * heads + head) * WIDTH
    tl.store(out + at + d, (acc / total).to(out.dtype.element_ty), mask=d < WIDTH)
