"""What README and docs/usage.md show is what the program prints: transcripts, plan, what fits which GPU, JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from specmemo_chat.cli import app as cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
USAGE = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")
DEVICES = {
    "GTX 1660": "gtx-1660-6gb",
    "RTX 4060 Laptop": "rtx-4060-laptop-8gb",
    "RTX 3060": "rtx-3060-12gb",
    "Apple M2": "apple-m2-16gb",
    "TITAN RTX": "titan-rtx-24gb",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A cache folder for all: only the first start of a model measures."""
    return str(tmp_path_factory.mktemp("cache"))


def shell(command: str, **environment: str) -> str:
    """What a command of the texts prints on stdout."""
    program = f"{sys.executable} -m specmemo_chat"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", re.sub(r"\bspecmemo (?=chat|plan)", f"{program} ", command)],
        # A processor with bf16 may round a close choice the other way; python3 is the one that runs this.
        env={
            **os.environ,
            "SPECMEMO_DTYPE": "fp32",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def transcripts() -> list[tuple[str, str]]:
    """Every command behind a `$`, with what stands below it."""
    found = []
    for block in re.findall(r"^```text\n(.*?)^```", README + USAGE, flags=re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            found.append((command, shown))
    return found


@pytest.mark.parametrize(("command", "shown"), transcripts(), ids=[command for command, _ in transcripts()])
def test_a_transcript_is_what_is_printed(command: str, shown: str, cache: str) -> None:
    if command.startswith("specmemo plan"):
        # For that device no flag is left to the machine.
        command = f"env -u SPECMEMO_DTYPE {command}"
    printed = shell(command, XDG_CACHE_HOME=cache)
    # Of the JSON the beginning is shown.
    assert printed == shown or ("--json" in command and printed.startswith(shown)), printed


def test_there_are_transcripts_of_chat_plan_and_json() -> None:
    text = " ".join(command for command, _ in transcripts())
    assert "chat -p" in text
    assert "specmemo plan" in text
    assert "--json" in text


def test_what_fits_which_gpu() -> None:
    header, rows = re.search(r"^\| card (\|.*)\n\|[ |-]+\n((?:\|.*\n)+)", README, re.MULTILINE).groups()  # type: ignore[union-attr]
    models = [model.strip() for model in header.strip("|").split("|")]
    for row in rows.splitlines():
        name, *cells = (cell.strip() for cell in row.strip("|").split("|"))
        device = DEVICES[name.partition(",")[0]]
        for model, cell in zip(models, cells, strict=True):
            plan = json.loads(CliRunner().invoke(cli.app, ["plan", model, "--device", device, "--json"]).stdout)
            if plan["fits"]:
                tokens = f"{plan['context_tokens']} tokens"
                expected = f"{plan['total_bytes'] / 2**30:.1f} GiB, {tokens}, {plan['dtype']}"
            else:
                fix = plan["smallest_fix"]
                short = re.match(r"([\d.]+ GiB) more memory", fix)
                expected = f"{short[1]} short" if short else f"`{fix}`"
            assert cell == expected, (model, device)
