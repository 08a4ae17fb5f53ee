"""Draft heads on disk: the tensors of every published layout under one set of names, read strictly and written.

The names are those of the EAGLE authors: `layers.0.*` in EAGLE-1 and -2, `midlayer.*` in EAGLE-3. Read are also the
speculators' (`layers.0.*` in EAGLE-3, `fc_norms.*`) and a prefix `model.`. What is missing or has another shape is an
error that names file and tensor; what is extra is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from specmemo_chat.catalog.damage import check_content
from specmemo_chat.catalog.safetensors import check_safetensors
from specmemo_chat.drafters.eagle_config import HeadConfig, as_json, read_config
from specmemo_chat.errors import ModelError
from specmemo_chat.models.weight_files import copied, safetensors, unpickled

_AGAIN = "download the draft head again"
Shape = tuple[int, ...]


def prefix(config: HeadConfig) -> str:
    """What the names of the one layer's tensors begin with."""
    return "layers.0." if config.kind == "eagle" else "midlayer."


def required(config: HeadConfig) -> dict[str, Shape]:
    """Every tensor that a head of this config must have, and its shape."""
    h, t, q, kv, inner = config.hidden, config.target_hidden, config.q_width, config.kv_width, config.intermediate
    layer = prefix(config)
    wide = h if config.kind == "eagle" else 2 * h
    shapes: dict[str, Shape] = {
        layer + "self_attn.q_proj.weight": (q, wide),
        layer + "self_attn.k_proj.weight": (kv, wide),
        layer + "self_attn.v_proj.weight": (kv, wide),
        layer + "self_attn.o_proj.weight": (h, q),
        layer + "mlp.gate_proj.weight": (inner, h),
        layer + "mlp.up_proj.weight": (inner, h),
        layer + "mlp.down_proj.weight": (h, inner),
        layer + "post_attention_layernorm.weight": (h,),
    }
    if config.qkv_bias:
        shapes |= {layer + f"self_attn.{name}_proj.bias": (size,) for name, size in (("q", q), ("k", kv), ("v", kv))}
    if config.kind == "eagle":
        shapes["fc.weight"] = (h, 2 * h)
        if config.fc_bias:
            shapes["fc.bias"] = (h,)
        return shapes
    count = config.feature_count
    shapes["fc.weight"] = (h, count * t)
    shapes |= {layer + "hidden_norm.weight": (h,), layer + "input_layernorm.weight": (h,), "norm.weight": (h,)}
    shapes["lm_head.weight"] = (config.draft_vocab, h)
    if config.draft_vocab != config.vocab:
        shapes["d2t"] = (config.draft_vocab,)
    if config.norm_before_fc:
        shapes["input_norm.weight"] = (count * t,)
    if config.fc_norm:
        shapes |= {f"fc_norm.{index}.weight": (t,) for index in range(count)}
    if t != h:
        # Only a head as wide as its target can share the target's embedding.
        shapes["embed_tokens.weight"] = (config.vocab, h)
    return shapes


def optional(config: HeadConfig) -> dict[str, Shape]:
    """Tensors that change the result where they are there."""
    layer = prefix(config)
    shapes: dict[str, Shape] = {
        layer + "self_attn.o_proj.bias": (config.hidden,),
        layer + "self_attn.q_norm.weight": (config.head_dim,),
        layer + "self_attn.k_norm.weight": (config.head_dim,),
    }
    shapes |= {
        layer + f"self_attn.{name}_proj.bias": (size,)
        for name, size in (("q", config.q_width), ("k", config.kv_width), ("v", config.kv_width))
    }
    if config.kind == "eagle3":
        shapes["d2t"] = (config.draft_vocab,)
    else:
        shapes["fc.bias"] = (config.hidden,)
    return shapes


def read_head(folder: Path) -> tuple[HeadConfig, dict[str, torch.Tensor]]:
    """The config and the checked tensors of the head in `folder`, in the precision of the file, on the CPU.

    Raises ModelError naming the file and the tensor that is missing, mis-shaped or damaged.
    """
    config = read_config(folder)
    wanted, extra = required(config), optional(config)
    tensors: dict[str, torch.Tensor] = {}
    files = _files(folder)
    for file in files:
        for raw, tensor in _tensors(file, set(wanted) | set(extra), config):
            name = _canonical(raw, config)
            shape = wanted.get(name) or extra[name]
            if tuple(tensor.shape) != shape:
                raise ModelError(
                    f"{file}: the tensor {raw} has the shape {list(tensor.shape)}, its config asks for {list(shape)}",
                    _AGAIN,
                )
            tensors[name] = tensor
    missing = sorted(set(wanted) - set(tensors))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelError(
            f"{files[0]} has no tensor {missing[0]}{more}: it is no {_title(config)} head as its config describes it",
            _AGAIN,
        )
    return config, tensors


def write_head(folder: Path, config: HeadConfig, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a head in the layout of the EAGLE authors: config.json and model.safetensors. EAGLE-3 with a vocabulary of
    its own needs `d2t`; `t2d` is written from it.

    Raises ModelError for a tensor that is missing or mis-shaped: what is written can be read.
    """
    file = folder / "model.safetensors"
    wanted, extra = required(config), optional(config)
    for name in sorted(wanted):
        if name not in tensors:
            raise ModelError(f"{file} cannot be written: the tensor {name} is missing")
    written: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        shape = wanted.get(name) or extra.get(name)
        if shape is None:
            continue
        if tuple(tensor.shape) != shape:
            raise ModelError(
                f"{file} cannot be written: the tensor {name} has the shape {list(tensor.shape)}, not {list(shape)}"
            )
        written[name] = tensor.detach().cpu().contiguous()
    if "d2t" in written:
        offsets = written["d2t"] = written["d2t"].to(torch.int64)
        known = torch.zeros(config.vocab, dtype=torch.bool)
        known[torch.arange(config.draft_vocab) + offsets] = True
        written["t2d"] = known
    folder.mkdir(parents=True, exist_ok=True)
    # The weights first: a folder with a config is a whole head.
    save_file(written, file, metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(as_json(config), indent=2) + "\n", encoding="utf-8")


def _title(config: HeadConfig) -> str:
    return "EAGLE-3" if config.kind == "eagle3" else "EAGLE-1 or -2"


def _canonical(name: str, config: HeadConfig) -> str:
    """Our name of a published tensor."""
    name = name.removeprefix("model.")
    if config.kind == "eagle3" and name.startswith("layers.0."):
        return "midlayer." + name.removeprefix("layers.0.")
    if name.startswith("fc_norms."):
        return "fc_norm." + name.removeprefix("fc_norms.")
    return name


def _files(folder: Path) -> list[Path]:
    """The weight files, by preference safetensors; a head may come in several."""
    for stem in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{stem}.index.json"
        if index.exists():
            try:
                names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
                raise ModelError(f"{index} cannot be read: {error}", _AGAIN) from error
            return sorted(folder / name for name in names)
        if (folder / stem).exists():
            return [folder / stem]
    raise ModelError(f"{folder} holds no weights", "a draft head has model.safetensors or pytorch_model.bin")


def _tensors(file: Path, names: set[str], config: HeadConfig) -> Iterator[tuple[str, torch.Tensor]]:
    """Those tensors of `file` whose canonical name is among `names`, in memory of their own."""
    check_content(file)
    if file.suffix == ".safetensors":
        check_safetensors(file)
    try:
        with file.open("rb") as opened:
            sources = safetensors(opened) if file.suffix == ".safetensors" else unpickled(file)
            for raw, source in sources.items():
                if _canonical(raw, config) in names:
                    yield raw, copied(source)
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}", _AGAIN) from error
