"""Importing transformers without what one chat never uses, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.models import random_model


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_left_out_modules_are_empty_inside_and_real_afterwards() -> None:
    out = run(
        "import sys\n"
        "from specmemo_chat.models.imports import UNUSED, without\n"
        "with without():\n"
        "    from transformers.models.llama.modeling_llama import LlamaForCausalLM\n"
        "    import torch._dynamo\n"
        "    assert torch._dynamo.disable(len) is len\n"
        "    assert torch._dynamo.disable(recursive=False)(len) is len\n"
        "    assert isinstance(torch._dynamo.OptimizedModule, type)\n"
        "assert not [n for n in sys.modules if n.startswith(UNUSED)], sys.modules\n"
        "import torch._dynamo\n"
        "print(torch._dynamo.__file__)\n"
    )
    assert out.strip().endswith("__init__.py")


def test_a_module_that_was_there_before_stays() -> None:
    run(
        "import sys, types\n"
        "from specmemo_chat.models.imports import without\n"
        "there = sys.modules['somewhere'] = types.ModuleType('somewhere')\n"
        "with without(('somewhere', 'elsewhere')):\n"
        "    import somewhere, elsewhere.inner\n"
        "    assert somewhere is there\n"
        "    assert elsewhere.inner.Thing() is not None\n"
        "assert sys.modules['somewhere'] is there\n"
        "assert 'elsewhere' not in sys.modules and 'elsewhere.inner' not in sys.modules\n"
        "try: import elsewhere\n"
        "except ModuleNotFoundError: pass\n"
        "else: raise AssertionError('still there')\n"
    )


def test_loading_a_model_needs_no_computer_algebra(tmp_path: Path) -> None:
    """torch imports sympy, half a second of it, where a module is built on its meta device as a whole."""
    random_model("llama").save_pretrained(tmp_path)
    run(
        "import sys\n"
        "from specmemo_chat.models.imports import without\n"
        "with without():\n"
        "    from specmemo_chat.models.loading import load_target\n"
        f"    load_target({str(tmp_path)!r}, dtype='fp32', device='cpu')\n"
        "assert 'sympy' not in sys.modules\n"
    )
