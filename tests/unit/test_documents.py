"""README and docs say what is: every command, flag, slash command, model, profile and key that they name exists."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from specmemo_chat.catalog.aliases import find_alias
from specmemo_chat.profiles import load_profiles
from specmemo_chat.repl.commands import registry
from specmemo_chat.repl.commands.tuning import SETTINGS
from specmemo_chat.setup.flags import KEYS
from tests.command_line import command_of, commands, flags

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "specmemo_chat" / "pocket" / "README.md")
    # What was true of an older version stays in the list of changes.
    if path.name != "CHANGELOG.md"
)
FLAGS = flags()
# Flags of other programs that the texts name beside ours.
FOREIGN = {
    "pip", "pytest", "python", "python3", "git", "docker", "nvidia-smi", "torchrun", "hf", "export", "iconv", "curl",
    "ruff", "mypy", "nice", "chmod", "sqlite3", "ollama", "llama-cli", "vllm", "apt", "sudo", "unshare", "mount",
}  # fmt: skip


@pytest.fixture(params=FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param.read_text(encoding="utf-8"))


def blocks(text: str) -> list[str]:
    """The lines of shell blocks, continued lines joined, without comments."""
    found = []
    for body in re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for line in body.replace("\\\n", " ").splitlines():
            found.append(line.removeprefix("$ "))
    return found


def spans(text: str) -> list[str]:
    """What stands in backquotes outside blocks, on one line or over a break."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", prose)]


def invocations(text: str) -> list[list[str]]:
    """The words after each `specmemo` that is run."""
    found = []
    for line in (*blocks(text), *spans(text)):
        for part in re.split(r"\|\|?|&&|;", line):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:
                continue
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words and words[0].rpartition("/")[2] == "specmemo":
                found.append(words[1:])
            elif words[1:3] == ["-m", "specmemo_chat"]:
                found.append(words[3:])
    return found


def test_the_texts_are_found() -> None:
    names = {path.name for path in FILES}
    assert {"README.md", "architecture.md", "reference.md", "usage.md", "memory.md", "scaling.md"} <= names
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(invocations(readme)) > 8
    assert len(invocations((ROOT / "docs" / "usage.md").read_text(encoding="utf-8"))) > 20


def test_every_command_and_its_flags_exist(text: str) -> None:
    for words in invocations(text):
        if not words or words[0] in ("COMMAND", "…", "..."):
            continue
        command = command_of(words, FLAGS)
        assert command or words[0].startswith("-"), f"no command: specmemo {' '.join(words)}"
        for word in words:
            flag = word.partition("=")[0]
            if re.fullmatch(r"--?[a-z][a-z-]*", flag):
                assert flag in FLAGS[command], f"specmemo {command} has no {flag}"


def test_every_flag_that_is_named_belongs_to_some_command(text: str) -> None:
    known = set().union(*FLAGS.values()) | {"--install-completion", "--show-completion"}
    if "tools.pocket" in text or "benchmarks." in text:
        for folder in ("tools", "benchmarks"):
            for source in (ROOT / folder).rglob("*.py"):
                known |= set(re.findall(r'"(--[a-z-]+)"', source.read_text(encoding="utf-8")))
    for span in spans(text):
        words = span.split()
        if words and words[0].rpartition("/")[2] in FOREIGN:
            continue
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+(?![\w-])", span):
            assert flag in known, f"no command has {flag} (in `{span}`)"


def test_every_slash_command_and_setting_exists(text: str) -> None:
    known = set(registry.COMMANDS) | set(registry.ALIASES)
    for span in spans(text):
        match = re.match(r"/([a-z?]+)(?= |$)", span)
        if match is None or (ROOT / span.lstrip("/")).exists():
            continue
        assert match[1] in known, f"no slash command: {span}"
        if match[1] == "set" and len(span.split()) > 1 and span.split()[1].islower():
            assert span.split()[1] in SETTINGS, span


def test_every_model_profile_and_key_exists(text: str) -> None:
    profiles = load_profiles()
    for words in invocations(text):
        pairs = dict(pairwise(words))
        if words and words[0] == "plan" and len(words) > 1 and not words[1].startswith("-"):
            pairs["--model"] = words[1]
        model = pairs.get("--model", "pocket")
        if re.fullmatch(r"[a-z0-9][\w.-]*", model):
            assert find_alias(model) is not None, f"no model {model}"
        if "--profile" in pairs and pairs["--profile"].islower():
            assert pairs["--profile"] in profiles, pairs["--profile"]
    for variable in re.findall(r"SPECMEMO_[A-Z_]+\b", text):
        known = {key.variable for key in KEYS.values()}
        assert variable in known or variable.endswith("_") or variable.startswith("SPECMEMO_TEST_"), variable


def test_every_file_that_is_named_exists(text: str) -> None:
    """In code spans by the path in the package or in the checkout, files alone by their name."""
    for span in spans(text):
        if not re.fullmatch(r"(\.\./)*[\w.-]+(/[\w.-]+)*\.(py|toml|md)", span) or span == "config.toml":
            continue
        places = (ROOT, ROOT / "specmemo_chat", ROOT / "docs", ROOT / "profiles")
        there = any((place / span).exists() for place in places)
        assert there or ("/" not in span and any((ROOT / "specmemo_chat").rglob(span))), f"there is no {span}"


def test_every_link_leads_somewhere(request: pytest.FixtureRequest, text: str) -> None:
    """Files exist, and headings that are linked to."""
    page = Path(request.node.callspec.params["text"])
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if link.startswith(("http://", "https://")):
            continue
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name} links to {link}"
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {anchor(title) for title in headings}, f"{page.name} links to {link}"


def anchor(title: str) -> str:
    """A heading as GitHub links to it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_contract_names_exist() -> None:
    """The commands and slash commands that were promised."""
    promised = (
        *("chat", "probe", "plan", "batch", "bench", "train-draft", "doctor", "config path", "config show"),
        *("models ls", "models pull", "models rm", "sessions ls", "sessions show", "sessions export", "sessions rm"),
    )
    assert set(promised) <= set(FLAGS)
    slash = (
        "help set show system model draft memory context stats compare regen undo edit continue fork sessions save "
        "clear read copy editor bye ? exit quit"
    )
    assert set(slash.split()) <= set(registry.COMMANDS) | set(registry.ALIASES)


def test_every_command_flag_and_slash_command_explains_itself() -> None:
    for name, command in commands().items():
        assert command.help, f"specmemo {name} says nothing"
        for option in command.params:
            assert option.name == "help" or getattr(option, "help", None), f"specmemo {name}: {option.name}"
    for known in registry.COMMANDS.values():
        assert known.help
        assert known.usage.startswith(f"/{known.name}")
