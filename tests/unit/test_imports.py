"""A worker imports no more of transformers than one chat uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from specmemo_chat.catalog.aliases import bundled_folder
from tests.models import random_model

# A compiler, distributed tensors, a server, a computer algebra system, the model classes: seconds, and 75 MiB.
UNUSED = (
    "torch._dynamo", "torch.distributed.tensor", "torch.distributed.fsdp", "sympy", "transformers.modeling_utils",
    "transformers.generation.continuous_batching",
)  # fmt: skip


def test_a_worker_imports_what_it_uses(tmp_path: Path) -> None:
    random_model("llama").save_pretrained(tmp_path)
    code = (
        "import sys\n"
        "from specmemo_chat.models.loading import load_target\n"
        "from specmemo_chat.models.tokenizer import ChatTokenizer, import_transformers\n"
        "from specmemo_chat.chat.conversation import Conversation\n"
        "from specmemo_chat.engine.engine import Engine\n"
        f"import_transformers({str(tmp_path)!r})\n"
        f"load_target({str(tmp_path)!r}, dtype='fp32', device='cpu')\n"
        f"tokenizer = ChatTokenizer({str(bundled_folder())!r})\n"
        "tokenizer.render([{'role': 'user', 'content': 'Hi'}], tokenizer.template, reply=True)\n"
        f"print([name for name in {UNUSED!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
