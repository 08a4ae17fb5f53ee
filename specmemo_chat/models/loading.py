"""Load a target from a local folder or a GGUF file: one copy of the weights, checked files, our attention."""

from __future__ import annotations

from pathlib import Path

import torch

from specmemo_chat.catalog.config import SUPPORTED, read_config, spec_from_folder
from specmemo_chat.catalog.damage import check_folder, read_object, weight_files
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.errors import Flag, ModelError, PlanError, UsageError
from specmemo_chat.memory.contract import Dtype
from specmemo_chat.memory.weights import target_weights
from specmemo_chat.models import attention
from specmemo_chat.models.checkpoint import Checkpoint
from specmemo_chat.models.gguf_weights import GgufCheckpoint
from specmemo_chat.models.library import eos_of, load_library_model
from specmemo_chat.models.llama.config import FAMILIES, LlamaConfig, llama_config
from specmemo_chat.models.llama.load import load_llama
from specmemo_chat.models.matrices import gpu, products
from specmemo_chat.models.matrices.choice import COMPUTED
from specmemo_chat.models.parallel import Share
from specmemo_chat.models.target import Target
from specmemo_chat.sizes import format_size

ALONE = Share(0, 1)


def load_target(
    location: str,
    *,
    dtype: Dtype,
    device: str,
    compute: str = "",
    trust_remote_code: bool = False,
    share: Share = ALONE,
    planned_bytes: int = 0,
) -> Target:
    """The causal LM in the folder or GGUF file `location` on `device`, its weights in `dtype`.

    `compute`: the precision of activations, keys and values, where that is another (Plan.kv_dtype). `share`: this
    worker's share of a model that several hold together; its forwards are collective then, and need torch's process
    group. `planned_bytes`: what the plan has for the weights (0: nothing is planned). Raises ModelError for files that
    are missing, truncated or corrupt, UsageError for an architecture or a precision that this version does not run, or
    does not share out, PlanError for weights that are more than planned or than the device holds.
    """
    folder = Path(location)
    values = read_config(folder)
    model_type = str(values.get("model_type", ""))
    file = folder.is_file()
    if not file:
        check_folder(folder)
    if not file and not any(weight_files(folder)):
        raise ModelError(f"{folder} holds no weights", "it needs model.safetensors or pytorch_model.bin")
    own = model_type in FAMILIES
    if not own and not trust_remote_code:
        raise UsageError(
            f"the architecture {model_type or 'without a name'!r} is not supported",
            f"supported are {', '.join(SUPPORTED)}",
        )
    if share.world > 1 and not own:
        raise UsageError(
            f"a model of the architecture {model_type or 'without a name'!r} runs on one worker only",
            Flag("--gpus", "1"),
        )
    attention.prefer(device)
    try:
        if not own:
            model = load_library_model(location, dtype=dtype, device=device)
            return Target(model, eos_of(model))
        spec = spec_from_folder(str(folder), folder)
        compute = dtype if dtype in COMPUTED else compute or "fp32"
        _check_planned(spec, dtype, compute, share, planned_bytes, cpu=device == "cpu")
        config = llama_config(spec, values)
        with GgufCheckpoint(folder) if file else Checkpoint(folder) as weights:
            loaded, unused = load_llama(
                config,
                weights,
                fmt=dtype,
                compute=COMPUTED[compute],
                device=torch.device(device),
                share=share,
            )
        where = torch.device(device)
        notes = (*_notes(folder, unused), *gpu.notes(where, dtype), *products.notes(where, dtype))
        return Target(loaded, _eos_ids(folder, config), tp=share.world, notes=notes)
    except torch.OutOfMemoryError as error:
        raise PlanError(
            f"{device} has no memory left for the weights in {location}", "end other programs that use it"
        ) from error
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"the weights in {location} cannot be loaded: {error}", "download the model again") from error


def _check_planned(spec: ModelSpec, dtype: Dtype, compute: str, share: Share, planned: int, *, cpu: bool) -> None:
    if not planned:
        return
    size = target_weights(spec, dtype, compute, share.world, cpu=cpu)  # type: ignore[arg-type]
    if planned < size:
        raise PlanError(
            f"the weights in {spec.location} take {format_size(size)}, and {format_size(planned)} were planned by "
            "another config: nothing was loaded",
            "start again: the plan then reads these files",
        )


def _eos_ids(folder: Path, config: LlamaConfig) -> frozenset[int]:
    """Every end token of the generation config, or else of the config."""
    file = folder / "generation_config.json"
    ids = read_object(file).get("eos_token_id") if file.exists() else None
    if ids is None:
        return config.eos_ids
    return frozenset([ids] if isinstance(ids, int) else ids)


def _notes(folder: Path, unused: list[str]) -> tuple[str, ...]:
    """What is to be said about tensors that the model has no place for, as transformers does."""
    if not unused:
        return ()
    named = ", ".join(unused[:3]) + (f" and {len(unused) - 3} more" if len(unused) > 3 else "")
    return (f"the weights in {folder} hold tensors that the model of its config.json has no place for: {named}",)
