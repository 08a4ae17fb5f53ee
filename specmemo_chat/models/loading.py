"""Load a target from a local folder: one copy of the weights, checked files, our attention."""

from __future__ import annotations

import importlib
import json
import warnings
from pathlib import Path
from typing import Any

import torch

from specmemo_chat.errors import Flag, ModelError, UsageError
from specmemo_chat.models import attention
from specmemo_chat.models.fused import fusable, fuse
from specmemo_chat.models.parallel import Share, connect
from specmemo_chat.models.streaming import stream_model
from specmemo_chat.models.target import Target

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Asked for by name: the automatic class imports every model family of the library.
MODEL_CLASSES = {
    "llama": ("transformers.models.llama.modeling_llama", "LlamaForCausalLM"),
    "mistral": ("transformers.models.mistral.modeling_mistral", "MistralForCausalLM"),
    "qwen2": ("transformers.models.qwen2.modeling_qwen2", "Qwen2ForCausalLM"),
    "qwen3": ("transformers.models.qwen3.modeling_qwen3", "Qwen3ForCausalLM"),
    "gemma": ("transformers.models.gemma.modeling_gemma", "GemmaForCausalLM"),
}
SUPPORTED = tuple(MODEL_CLASSES)
ALONE = Share(0, 1)


def load_target(
    location: str, *, dtype: str, device: str, trust_remote_code: bool = False, share: Share = ALONE
) -> Target:
    """The causal LM in the folder `location` on `device`, in `dtype` (bf16, fp16, fp32, int8, nf4).

    `share`: this worker's share of a model that several hold together; its forwards are collective then, and need
    torch's process group. Raises ModelError for files that are missing, truncated or corrupt, UsageError for an
    architecture or a quantisation that this version does not run, or does not share out.
    """
    folder = Path(location)
    model_type = model_type_of(folder)
    check_weights(folder)
    attention.register()
    known = model_type in MODEL_CLASSES and dtype in _DTYPES
    if share.world > 1 and not known:
        raise UsageError(
            f"a model of the architecture {model_type or 'without a name'!r} in {dtype} runs on one worker only",
            Flag("--gpus", "1"),
        )
    plan: dict[str, str] = {}
    try:
        if known:
            model, plan = stream_model(
                _model_class(model_type, False, {}), folder, _DTYPES[dtype], torch.device(device), share
            )
        else:
            model = _pretrained(model_type, location, dtype, device, trust_remote_code)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"the weights in {location} cannot be loaded: {error}", "download the model again") from error
    model.eval()
    attention.prefer(device)
    if fusable(model_type, dtype, device):
        fuse(model)
    connect(model, share, plan)
    return Target(model, _eos_ids(model), tp=share.world)


def _pretrained(model_type: str, location: str, dtype: str, device: str, trust_remote_code: bool) -> Any:
    """The model by transformers' own loading."""
    options: dict[str, Any] = {
        "attn_implementation": attention.NAME,
        "local_files_only": True,
        "low_cpu_mem_usage": True,
    }
    if dtype in _DTYPES:
        options["dtype"] = _DTYPES[dtype]
    else:
        options.update(_quantised(dtype))
        if device != "cpu":
            options["device_map"] = {"": device}
    model_class = _model_class(model_type, trust_remote_code, options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = model_class.from_pretrained(location, **options)
    return model.to(device) if dtype in _DTYPES else model


def model_type_of(folder: Path) -> str:
    """The `model_type` of the folder's config. Raises ModelError where there is none to read."""
    file = folder / "config.json"
    try:
        return str(json.loads(file.read_text(encoding="utf-8")).get("model_type", ""))
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{file} cannot be read: {error}") from error


def import_architecture(location: str) -> None:
    """Import the model class of the folder `location` ahead of its weights, so that runtime and weights can be told
    apart in the process's memory."""
    model_type = model_type_of(Path(location))
    if model_type in MODEL_CLASSES:
        importlib.import_module(MODEL_CLASSES[model_type][0])


def _model_class(model_type: str, trust_remote_code: bool, options: dict[str, Any]) -> Any:
    if model_type in MODEL_CLASSES:
        module, name = MODEL_CLASSES[model_type]
        return getattr(importlib.import_module(module), name)
    if trust_remote_code:
        from transformers import AutoModelForCausalLM

        options["trust_remote_code"] = True
        return AutoModelForCausalLM
    raise UsageError(
        f"the architecture {model_type or 'without a name'!r} is not supported", f"supported are {', '.join(SUPPORTED)}"
    )


def _quantised(dtype: str) -> dict[str, Any]:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise UsageError(f"--dtype {dtype} needs bitsandbytes", "pip install 'specmemo[quant]'") from error
    from transformers import BitsAndBytesConfig

    if dtype == "int8":
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    return {"quantization_config": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")}


def _eos_ids(model: Any) -> frozenset[int]:
    """Every end token of the generation config, or else of the config."""
    for config in (model.generation_config, model.config):
        ids = getattr(config, "eos_token_id", None) if config is not None else None
        if ids is not None:
            return frozenset([ids] if isinstance(ids, int) else ids)
    return frozenset()


def check_weights(folder: Path) -> None:
    """Raise ModelError for a weight file that is missing, truncated or corrupt: which file, which tensor."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{index} cannot be read: {error}", "download the model again") from error
        for name in names:
            check_safetensors(folder / name)
    elif (folder / "model.safetensors").exists():
        check_safetensors(folder / "model.safetensors")
    elif not any(folder.glob("pytorch_model*.bin")):
        gguf = next(folder.glob("*.gguf"), None)
        if gguf is not None:
            raise ModelError(f"{gguf.name} is a GGUF file", "give the folder of the original safetensors model")
        raise ModelError(f"{folder} holds no weights", "it needs model.safetensors or pytorch_model.bin")


def check_safetensors(file: Path) -> None:
    """Read the header of one file and compare its tensors' places with the file's size. Raises ModelError."""
    again = "download the model again"
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > size - 8:
                raise ModelError(f"{file} is truncated: {size} bytes do not hold its header", again)
            header = json.loads(stream.read(length))
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}", again) from error
    except ValueError as error:
        raise ModelError(f"{file} is corrupt: its header is not JSON", again) from error
    present = size - 8 - length
    for name, entry in sorted(header.items()):
        if name == "__metadata__":
            continue
        try:
            end = int(entry["data_offsets"][1])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ModelError(f"{file} is corrupt: the entry of the tensor {name} cannot be read", again) from error
        if end > present:
            raise ModelError(
                f"{file} is truncated: the tensor {name} ends at byte {end:,} of {present:,} that are there", again
            )
