"""Load a target from a local folder: one copy of the weights, checked files, our attention."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import torch

from specmemo_chat.catalog.config import read_config
from specmemo_chat.catalog.damage import check_folder, weight_files
from specmemo_chat.errors import Flag, ModelError, PlanError, UsageError
from specmemo_chat.models import attention
from specmemo_chat.models.fused import fusable, fuse
from specmemo_chat.models.parallel import Share, connect
from specmemo_chat.models.prepared import flatten_output
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
    location: str,
    *,
    dtype: str,
    device: str,
    trust_remote_code: bool = False,
    share: Share = ALONE,
    planned_bytes: int = 0,
) -> Target:
    """The causal LM in the folder `location` on `device`, in `dtype` (bf16, fp16, fp32, int8, nf4).

    `share`: this worker's share of a model that several hold together; its forwards are collective then, and need
    torch's process group. `planned_bytes`: what the plan has for the weights (0: nothing is planned). Raises ModelError
    for files that are missing, truncated or corrupt, UsageError for an architecture or a quantisation that this version
    does not run, or does not share out, PlanError for weights that are more than planned or than the device holds.
    """
    folder = Path(location)
    model_type = model_type_of(folder)
    check_folder(folder)
    if not any(weight_files(folder)):
        raise ModelError(f"{folder} holds no weights", "it needs model.safetensors or pytorch_model.bin")
    attention.register()
    known = model_type in MODEL_CLASSES and dtype in _DTYPES
    if share.world > 1 and not known:
        raise UsageError(
            f"a model of the architecture {model_type or 'without a name'!r} in {dtype} runs on one worker only",
            Flag("--gpus", "1"),
        )
    plan: dict[str, str] = {}
    unused: list[str] = []
    try:
        if known:
            model, plan, unused = stream_model(
                _model_class(model_type, False, {}), folder, _DTYPES[dtype], torch.device(device), share, planned_bytes
            )
        else:
            model = _pretrained(model_type, location, dtype, device, trust_remote_code)
    except torch.OutOfMemoryError as error:
        raise PlanError(
            f"{device} has no memory left for the weights in {location}", "end other programs that use it"
        ) from error
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"the weights in {location} cannot be loaded: {error}", "download the model again") from error
    model.eval()
    attention.prefer(device)
    if fusable(model_type, dtype, device):
        fuse(model)
    else:
        flatten_output(model)
    connect(model, share, plan)
    return Target(model, _eos_ids(model), tp=share.world, notes=_notes(folder, unused))


def _notes(folder: Path, unused: list[str]) -> tuple[str, ...]:
    """What is to be said about tensors that the model has no place for, as transformers does."""
    if not unused:
        return ()
    named = ", ".join(unused[:3]) + (f" and {len(unused) - 3} more" if len(unused) > 3 else "")
    return (f"the weights in {folder} hold tensors that the model of its config.json has no place for: {named}",)


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
    return str(read_config(folder).get("model_type", ""))


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
