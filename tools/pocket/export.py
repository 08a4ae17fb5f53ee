"""Write a trained Pocket as the files that transformers and specmemo load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from tools.pocket.tokenizer import save_tokenizer


def export_model(model: Any, tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """bf16 safetensors (tied weights once), config, generation config and tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: tensor.detach().to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict()
    config["architectures"] = ["LlamaForCausalLM"]
    config["dtype"] = "bfloat16"
    for key in ("_name_or_path", "torch_dtype", "_attn_implementation_autoset"):
        config.pop(key, None)
    _write(folder / "config.json", config)
    ids = {"eos_token_id": model.config.eos_token_id, "pad_token_id": model.config.pad_token_id}
    _write(folder / "generation_config.json", {"do_sample": False, **ids})
    save_tokenizer(tokenizer, folder, context)


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
