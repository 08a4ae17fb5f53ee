"""A newcomer's walk: the commands of README and docs/usage.md, as they stand there and in their order, in a copy of the
checkout and a fresh virtual environment. Marked `stress` because it installs torch; it needs a package index, as
`.ci/run` does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pexpect
import pytest

from tests.unit.test_documents import blocks

ROOT = Path(__file__).parents[2]
# What the README installs by itself; every later command finds it on the path.
VENV = ".venv"
# Answers to commands that need the hub or more memory, on a machine that has neither: each with a remedy. More GPUs
# than there are is 2.
EXPECTED = {0, 3, 4}


def checkout(to: Path) -> Path:
    """The files as they are now, those that are not committed yet too, as a repository of their own."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    (to / "questions.jsonl").write_text(json.dumps({"question_id": 1, "turns": ["Hello!", "Spell cat."]}) + "\n")
    (to / "chats.jsonl").write_text(json.dumps({"messages": [{"role": "user", "content": "Hello!"}]}) + "\n")
    subprocess.run(["git", "init", "-q"], cwd=to, check=True)
    subprocess.run(["git", "add", "README.md"], cwd=to, check=True)
    with (to / "README.md").open("a") as readme:
        readme.write("\nOne more line.\n")
    return to


def commands(folder: Path) -> list[str]:
    """The lines that a newcomer would type, in their order."""
    return [
        line for page in ("README.md", "docs/usage.md") for line in blocks((folder / page).read_text(encoding="utf-8"))
    ]


def test_the_commands_are_extracted() -> None:
    lines = [line for line in commands(ROOT) if line.strip()]
    # One command makes the environment, installs and starts a chat.
    assert all(part in lines[0] for part in ("python3 -m venv", "pip install . ", "specmemo chat"))
    assert len(lines) > 20


@pytest.mark.stress
@pytest.mark.timeout(3600)
def test_a_newcomer_can_follow_the_readme(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "specmemo")
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "XDG_"))
    }
    environment |= {
        "HOME": str(home),
        "PATH": f"{folder / VENV / 'bin'}:{os.environ['PATH']}",
        "TERM": "xterm-256color",
        "PIP_PROGRESS_BAR": "off",
    }
    walked = 0
    for line in commands(folder):
        command = line.partition("  #")[0].strip()
        if not command or command.startswith("#"):
            continue
        code, shown = follow(command, folder, environment)
        assert "Traceback" not in shown, f"{command}\n{shown[-3000:]}"
        assert code in EXPECTED | ({2} if "--gpus" in command else set()), (
            f"{command}\nexit code {code}\n{shown[-3000:]}"
        )
        if code:
            assert "fix:" in shown, f"{command}\n{shown[-3000:]}"
        walked += 1
    assert walked > 20


def follow(command: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Type `command` as a person at a terminal would; a chat is left with /bye. Exit code, and what was shown."""
    # The suite is what runs this: of the README's last step its beginning is enough.
    command = re.sub(r"\S*pytest$", lambda match: f"{match[0]} tests/unit/test_sizes.py", command)
    child = pexpect.spawn(
        "bash", ["-c", command], cwd=folder, env=environment, encoding="utf-8", timeout=1500, dimensions=(40, 120)
    )
    shown = ""
    answers = [pexpect.EOF, "/help lists the commands"]
    while child.expect(answers) != 0:
        shown += child.before + str(child.after)
        child.send("/bye\r")
    shown += child.before
    child.close()
    return int(child.exitstatus if child.exitstatus is not None else 128 + child.signalstatus), shown
