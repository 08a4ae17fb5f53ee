"""Our own attention function for transformers models: grouped heads are folded, never repeated.

transformers' SDPA path repeats K/V for grouped heads when a mask is given (hundreds of MiB at long
context). Folding the group into the query axis needs no copy of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from specmemo_chat.models.packing import Packing

NAME = "specmemo"


def folded_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    packing: Packing | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """`query` [R, heads, nodes, d], `key`/`value` [R, kv_heads, view, d], `attention_mask` bool [R, 1, nodes, view], or
    as `folded_mask` makes it (one for all of a row's queries is enough), or a table of paths (models/paths.py) where
    the kernels run. With `packing`, `query` is [1, heads, T, d]
    and `nodes` its longest row.

    Returns ([R, nodes, heads, d], None), packed [1, T, heads, d]. Raises ValueError without a mask: a causal default
    would be silently wrong.
    """
    if attention_mask is None:
        raise ValueError("specmemo's attention needs an explicit mask")
    rows, heads, nodes, width = query.shape
    if attention_mask.dtype == torch.int32:
        from specmemo_chat.models.triton_attention import tree_attention

        states = query.transpose(1, 2).reshape(-1, heads, width)
        attended = tree_attention(states, key, value, attention_mask, key.shape[2], scaling or width**-0.5)
        return attended.view(rows, nodes, heads, width), None
    kv_heads = key.shape[1]
    group = heads // kv_heads
    if attention_mask.dtype == torch.bool:
        attention_mask = folded(attention_mask, group)
    elif attention_mask.dtype != query.dtype:
        attention_mask = attention_mask.to(query.dtype)
    if packing is not None and packing.runs:
        return _attend_runs(query, key, value, attention_mask.view(-1), scaling, packing), None
    if packing is not None and packing.parts:
        return _attend_parts(query, key, value, attention_mask.view(-1), scaling, packing), None
    if packing is not None:
        out = functional.scaled_dot_product_attention(
            packing.spread(query, kv_heads), key, value, attn_mask=attention_mask, scale=scaling
        )
        return packing.gather(out, heads), None
    if group > 1:
        query = query.reshape(rows, kv_heads, group * nodes, width)
    out = functional.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, scale=scaling)
    if group > 1:
        out = out.reshape(rows, heads, nodes, width)
    return out.transpose(1, 2).contiguous(), None


def _attend_runs(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scaling: float | None,
    packing: Packing,
) -> torch.Tensor:
    """Trees that branch; `mask` as `branched_mask` makes it, flat.

    Sums go by slots, so each run of nodes is attended while its path's keys and values stand where they stand in plain
    decoding: its result is that of plain decoding to the bit. All stand in their own slots again afterwards.
    """
    heads, width = query.shape[1], query.shape[3]
    kv_heads, view = key.shape[1:3]
    group = heads // kv_heads
    one = len(packing.counts) == 1
    tokens = packing.runs[0].begin if one else packing.longest
    at = len(packing.counts) * group * tokens * view
    first = query[:, :, :tokens].reshape(1, kv_heads, -1, width) if one else packing.spread(query, kv_heads)
    attended = functional.scaled_dot_product_attention(
        first, key, value, attn_mask=mask[:at].view(len(first), 1, -1, view), scale=scaling
    )
    if one:
        # Of what only pads a tree nothing is asked, but that it is finite.
        out = query.new_zeros(1, query.shape[2], heads, width)
        out[0, :tokens] = attended.view(heads, tokens, width).transpose(0, 1)
    else:
        out = packing.gather(attended, heads)
    row, seen = -1, (key, value)
    scratch: tuple[torch.Tensor, ...] = ()
    kept: tuple[torch.Tensor, ...] = ()
    for run in packing.runs:
        if run.row != row:
            _put_back(scratch, kept)
            row, own = run.row, slice(run.row, run.row + 1)
            seen = (key[own], value[own])
            scratch = tuple(states[:, :, run.length : run.length + run.nodes] for states in seen)
            kept = tuple(states.clone() for states in scratch)
        for states, copies in zip(scratch, kept, strict=True):
            path = copies[:, :, run.sources]
            states[:, :, run.first : run.first + path.shape[2]] = path
        begin, end = run.queries
        size = group * (end - begin) * view
        attended = functional.scaled_dot_product_attention(
            query[:, :, begin:end].reshape(1, kv_heads, -1, width),
            *seen,
            attn_mask=mask[at : at + size].view(1, 1, -1, view),
            scale=scaling,
        )
        behind = attended.view(heads, end - begin, width)[:, run.begin - begin :]
        out[0, run.begin : run.end] = behind.transpose(0, 1)
        at += size
    _put_back(scratch, kept)
    return out


def _put_back(scratch: tuple[torch.Tensor, ...], kept: tuple[torch.Tensor, ...]) -> None:
    for states, copies in zip(scratch, kept, strict=True):
        states.copy_(copies)


def branched_mask(
    mask: torch.Tensor, group: int, dtype: torch.dtype, packing: Packing, window: int = 0
) -> torch.Tensor:
    """`folded_mask` of trees of which the runs are attended apart, and what those see, behind each other: [1, 1, 1,
    all]. Keys stand at their positions then; a `window` (0: none) is so many positions."""
    if len(packing.counts) == 1:
        mask = mask[:, :, : packing.runs[0].begin]
    view, device = mask.shape[-1], mask.device
    reach = torch.tensor([last for run in packing.runs for last in [*run.reach] * group], device=device)[:, None]
    slots = torch.arange(view, device=device)
    hidden = slots > reach
    if window:
        hidden |= slots <= reach - window
    runs = torch.zeros(hidden.shape, dtype=dtype, device=device).masked_fill_(hidden, float("-inf"))
    return torch.cat((folded_mask(mask, group, dtype).flatten(), runs.flatten()))[None, None, None]


def _attend_parts(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scaling: float | None,
    packing: Packing,
) -> torch.Tensor:
    """The packing's parts one after the other; `mask` as `parted_mask` makes it, flat."""
    kv_heads, view = key.shape[1:3]
    group = query.shape[1] // kv_heads
    outs, row, token, at = [], 0, 0, 0
    for part in packing.parts:
        rows, tokens, queries = len(part.counts), sum(part.counts), group * part.longest
        size = rows * queries * view
        out = functional.scaled_dot_product_attention(
            part.spread(query[:, :, token : token + tokens], kv_heads),
            key[row : row + rows],
            value[row : row + rows],
            attn_mask=mask[at : at + size].view(rows, 1, queries, view),
            scale=scaling,
        )
        outs.append(part.gather(out, query.shape[1]))
        row, token, at = row + rows, token + tokens, at + size
    return torch.cat(outs, 1)


def parted_mask(mask: torch.Tensor, group: int, dtype: torch.dtype, packing: Packing) -> torch.Tensor:
    """`folded_mask` of each of the packing's parts, behind each other: [1, 1, 1, all]."""
    parts, row = [], 0
    for part in packing.parts:
        rows = len(part.counts)
        parts.append(folded_mask(mask[row : row + rows, :, : part.longest], group, dtype).flatten())
        row += rows
    return torch.cat(parts)[None, None, None]


def folded_mask(mask: torch.Tensor, group: int, dtype: torch.dtype) -> torch.Tensor:
    """A bool mask [R, 1, nodes, view] as what is added to the scores of `group` queries a key: [R, 1, group · nodes,
    view]. Made once for all layers of a forward."""
    added = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, float("-inf"))
    return folded(added, group)


def folded(mask: torch.Tensor, group: int) -> torch.Tensor:
    """A mask [R, 1, nodes, view] for `group` queries a key: [R, 1, group · nodes, view]."""
    if group == 1:
        return mask
    rows, _, nodes, view = mask.shape
    return mask[:, :, None].expand(-1, -1, group, -1, -1).reshape(rows, 1, group * nodes, view)


def _given_mask(*_: Any, attention_mask: torch.Tensor | None = None, **__: Any) -> torch.Tensor | None:
    """The mask function of our attention: masks are always made by `masks.tree_mask` and passed whole."""
    return attention_mask


def prefer(device: str) -> None:
    """Set which of torch's attention kernels run on `device`. cuDNN's are built for each new shape, 0.1 s of one; the
    views and nodes of steps are many shapes."""
    if device.startswith("cuda"):
        torch.backends.cuda.enable_cudnn_sdp(False)


def register() -> None:
    """Make the attention known to transformers. Both registrations are needed: without a mask function of the same
    name the library passes no mask at all."""
    from transformers.masking_utils import AttentionMaskInterface
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(NAME, folded_attention)
    AttentionMaskInterface.register(NAME, _given_mask)
