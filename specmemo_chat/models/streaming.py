"""Load a model tensor by tensor onto its device, and of each tensor only one worker's share.

The model is built without memory (on torch's meta device), cut down to the share, and filled from the files: neither
the host nor the device ever holds more than the share and a block of a file. transformers' own loading needs accelerate
for every device but the CPU, and prepares itself for the checkpoints of every model that it knows.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from specmemo_chat.catalog.damage import weight_files
from specmemo_chat.catalog.safetensors import has_own_output
from specmemo_chat.errors import ModelError, PlanError
from specmemo_chat.models import attention
from specmemo_chat.models.checkpoint import OUTPUT, Checkpoint, Part
from specmemo_chat.models.parallel import BY_INPUT, Share, resolved_plan, shrink
from specmemo_chat.sizes import counted, format_size

# What modules fill new parameters with: nothing that stays.
_FIRST_VALUES = frozenset({"normal_", "uniform_", "zero_", "fill_"})


def stream_model(
    model_class: Any, folder: Path, dtype: torch.dtype, device: torch.device, share: Share, planned_bytes: int = 0
) -> tuple[Any, dict[str, str], list[str]]:
    """The model in `folder` with this worker's share of its weights on `device`; the plan by which it is split (empty
    for one worker), whose collectives are put in by `parallel.connect`; and the tensors that it has no place for.

    Raises ModelError for weights that are missing or have other shapes, UsageError for a model that cannot be split,
    PlanError before anything is read where the weights are more than `planned_bytes` (0: as many as there are).
    """
    config = model_class.config_class.from_pretrained(folder)
    if config.tie_word_embeddings and has_own_output(weight_files(folder)):
        # As transformers does: only what is equal is tied, whatever the config says.
        config.tie_word_embeddings = False
    model = empty_model(model_class, config, dtype)
    plan = resolved_plan(model) if share.world > 1 else {}
    parts = shrink(model, share) if share.world > 1 else {}
    size = sum(parameter.numel() for parameter in model.parameters()) * dtype.itemsize
    if 0 < planned_bytes < size:
        raise PlanError(
            f"the weights in {folder} take {format_size(size)}, and {format_size(planned_bytes)} were planned by "
            "another config: nothing was loaded",
            "start again: the plan then reads these files",
        )
    _fill_buffers(model, device)
    with Checkpoint(folder) as checkpoint:
        zero = _added_once(plan) if share.rank else frozenset()
        unused = _fill_parameters(model, checkpoint, device, dtype, parts, zero)
    model.tie_weights()
    if (folder / "generation_config.json").exists():
        try:
            model.generation_config = type(model.generation_config).from_pretrained(folder)
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(
                f"{folder / 'generation_config.json'} cannot be used: {error}", "mend it, or delete it"
            ) from error
    return model, plan, unused


def empty_model(model_class: Any, config: Any, dtype: torch.dtype) -> Any:
    """A model of the shape of `config`, its parameters without memory."""
    with _WithoutParameters(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = model_class._from_config(config, dtype=dtype, attn_implementation=attention.NAME)
    return model.requires_grad_(False)


class _WithoutParameters(TorchFunctionMode):
    """Puts on the meta device what modules make for their parameters. Small buffers are computed where they are: on the
    meta device torch would import a computer algebra system for them."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.empty:
            return func(*args, **{**kwargs, "device": "meta"})
        if getattr(func, "__name__", "") in _FIRST_VALUES:
            filled = args[0] if args else kwargs["tensor"]
            if filled.is_meta:
                return filled
        return func(*args, **kwargs)


def _added_once(plan: dict[str, str]) -> frozenset[str]:
    """Biases that only the first worker adds, because the workers' outputs are summed."""
    return frozenset(f"{name}.bias" for name, style in plan.items() if style in BY_INPUT)


def _fill_buffers(model: Any, device: torch.device) -> None:
    """Buffers (rotary frequencies, scales) are in no file: the model computes them."""
    for module in model.modules():
        empty = False
        for name, buffer in list(module.named_buffers(recurse=False)):
            empty |= buffer.is_meta
            module._buffers[name] = torch.empty_like(buffer, device=device) if buffer.is_meta else buffer.to(device)
        if empty:
            model._init_weights(module)


def _fill_parameters(
    model: Any,
    checkpoint: Checkpoint,
    device: torch.device,
    dtype: torch.dtype,
    parts: dict[str, Part],
    zero: frozenset[str],
) -> list[str]:
    """Every parameter from the files; returns the names of the tensors there that have no place."""
    tied = model.get_input_embeddings().weight if model.config.tie_word_embeddings else None
    if tied is not None:
        checkpoint.check_tied()
    missing = []
    unused = checkpoint.names()
    for name, parameter in list(model.named_parameters()):
        source = checkpoint.name_of(name)
        if source is None and parameter is tied:
            # One matrix for both may be stored under either name.
            source = checkpoint.name_of(OUTPUT)
        if source is None:
            missing.append(name)
            continue
        unused.discard(source)
        part, whole = parts.get(name), list(parameter.shape)
        if part is not None:
            whole[part.dim] = part.size
        if checkpoint.shape(source) != whole:
            raise ModelError(
                f"the tensor {source} has the shape {checkpoint.shape(source)}, and the model's config wants {whole}",
                "download the model again",
            )
        filled = nn.Parameter(checkpoint.read(source, part, dtype=dtype, device=device), requires_grad=False)
        if name in zero:
            filled.zero_()
        owner, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(owner), leaf, filled)
        if parameter is tied:
            model.lm_head.weight = filled
    if missing:
        count = counted(len(missing), "tensor")
        untied = missing == [OUTPUT]
        raise ModelError(
            f"the weights lack {count} that the config.json asks for: {', '.join(missing[:3])}",
            'if it is the embedding, set "tie_word_embeddings": true in config.json'
            if untied
            else "download the model again, with the config.json that belongs to it",
        )
    if tied is not None:
        unused.discard(OUTPUT)
    # Older files hold what is computed.
    return sorted(name for name in unused if not name.endswith("rotary_emb.inv_freq"))
