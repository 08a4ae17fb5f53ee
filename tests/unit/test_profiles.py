"""Profiles: the shipped ones load and match, and whatever is wrong in a user's own is named with file and line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.absent import described_device
from specmemo_chat.profiles import get_profile, load_profiles, match_profile, profile_folder, read_profile
from specmemo_chat.sizes import GIB, MIB

SHIPPED = {
    "titan-rtx-24gb", "rtx-3060-12gb", "rtx-4060-laptop-8gb", "gtx-1660-6gb", "rtx-4090-24gb", "h100-80gb",
    "mi250-64gb-x8", "apple-m2-16gb", "cpu", "default",
}  # fmt: skip

GOOD = """summary = "mine"

[match]
kind = "cuda"
names = ["RTX 9999"]

[policy]
cap_fraction = 0.9
reserve = "256MiB"
context = 4096
context_minimum = 1024
tree_nodes = 64
tree_nodes_minimum = 8
tree_depth = 8
tree_width = 8
prefill_chunk = 512
prefill_chunk_minimum = 64
growth_tokens = 256
precisions = ["int8"]

[device]
kind = "cuda"
name = "NVIDIA GeForce RTX 9999"
memory = "96GiB"
bandwidth = "4000GB/s"
compute = 1_000_000
compute_capability = "12.0"
"""


def device(name: str, memory: int, kind: str = "cuda") -> DeviceInfo:
    return DeviceInfo(0, kind, name, "u", memory, memory, memory)  # type: ignore[arg-type]


def written(tmp_path: Path, text: str, name: str = "mine.toml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_all_profiles_are_shipped() -> None:
    assert set(load_profiles()) == SHIPPED


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_shipped_profile_makes_sense(name: str) -> None:
    profile = load_profiles()[name]
    assert profile.summary
    assert profile.context_minimum <= profile.context
    assert profile.tree_nodes_minimum <= profile.tree_nodes <= 64
    assert profile.prefill_chunk_minimum <= profile.prefill_chunk
    assert 0 < profile.cap_fraction < 1
    if name in ("cpu", "default"):
        assert profile.facts is None
        return
    facts = profile.facts
    assert facts is not None
    assert facts.kind == profile.match_kind
    assert facts.memory >= 6 * GIB
    assert facts.bandwidth >= 100 * 10**9
    assert facts.compute >= 10**12
    assert (facts.compute_capability is not None) == (facts.kind == "cuda")
    # A device as it describes finds its way back to it, by its name.
    matched, reason = match_profile(described_device(facts), load_profiles())
    assert matched.name == name
    assert facts.name in reason


@pytest.mark.parametrize(
    ("found", "name", "words"),
    [
        (device("NVIDIA TITAN RTX", 24 * GIB), "titan-rtx-24gb", "called NVIDIA TITAN RTX"),
        (device("NVIDIA GeForce RTX 4090", 24564 * MIB), "rtx-4090-24gb", "called"),
        (device("NVIDIA GeForce RTX 3060", 8 * GIB), "rtx-4060-laptop-8gb", "nearest in memory"),
        (device("NVIDIA H200", 141 * GIB), "h100-80gb", "nearest in memory"),
        (device("NVIDIA GeForce GT 1030", 2 * GIB), "default", "no profile knows"),
        (device("AMD Instinct MI250X", 64 * GIB, "rocm"), "mi250-64gb-x8", "called"),
        (device("Apple M3 Pro GPU", 18 * GIB, "mps"), "apple-m2-16gb", "called"),
        (device("Apple M1 GPU", 8 * GIB, "mps"), "default", "no profile knows"),
        (device("AMD EPYC", 24 * GIB, "cpu"), "cpu", "the processor"),
    ],
)
def test_a_device_is_matched_by_name_or_memory(found: DeviceInfo, name: str, words: str) -> None:
    profile, reason = match_profile(found, load_profiles())
    assert profile.name == name
    assert words in reason


def test_the_cap_leaves_the_reserve() -> None:
    profile = replace(load_profiles()["titan-rtx-24gb"], cap_fraction=0.5, reserve=GIB)
    idle = device("NVIDIA TITAN RTX", 24 * GIB)
    assert profile.cap_for(idle) == 12 * GIB
    assert profile.cap_for(replace(idle, usable_bytes=4 * GIB)) == 3 * GIB
    assert profile.cap_for(replace(idle, usable_bytes=0)) == 0
    assert replace(profile, cap=2 * GIB).cap_for(idle) == 2 * GIB


def test_a_users_own_profile_is_found_and_replaces_a_shipped_one(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    written(tmp_path, GOOD.replace("4096", "2048").replace("RTX 9999", "TITAN RTX"), "titan-rtx-24gb.toml")
    written(tmp_path, GOOD.replace("RTX 9999", "RTX 4090").replace("96GiB", "24GiB"), "a-4090.toml")
    profiles = load_profiles(tmp_path)
    assert profiles["mine"].summary == "mine"
    # GOOD has an old name.
    assert profiles["mine"].precisions == ("q8",)
    assert profiles["mine"].notes == (f"the profile {tmp_path / 'mine.toml'}: int8 is called q8 now",)
    assert profiles["titan-rtx-24gb"].notes
    assert load_profiles()["titan-rtx-24gb"].notes == ()
    facts = profiles["mine"].facts
    assert facts is not None
    assert (facts.memory, facts.bandwidth, facts.count) == (96 * GIB, 4 * 10**12, 1)
    assert facts.compute_capability == (12, 0)
    assert profiles["titan-rtx-24gb"].context == 2048
    assert match_profile(device("NVIDIA GeForce RTX 9999", 96 * GIB), profiles)[0].name == "mine"
    assert match_profile(device("NVIDIA GeForce RTX 4090", 24 * GIB), profiles)[0].name == "a-4090"


def test_a_cap_in_bytes_takes_the_place_of_the_fraction(tmp_path: Path) -> None:
    profile = read_profile(written(tmp_path, GOOD.replace("cap_fraction = 0.9", 'cap = "6GiB"')))
    assert profile.cap == 6 * GIB


def test_an_unknown_profile_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="no profile 'rtx'") as caught:
        get_profile("rtx", load_profiles())
    assert "titan-rtx-24gb" in (caught.value.remedy or "")


BAD = [
    # (old text, new text, line, words)
    ("tree_depth = 8", "tree_depht = 8", 14, "tree_depht: is not a known key"),
    ("[policy]", "[polcy]", 7, "polcy: is not a known key"),
    ('summary = "mine"', "summary = 3", 1, "3 is not of the type str"),
    ("context = 4096", 'context = "4096"', 10, "'4096' is not of the type int"),
    ("context = 4096", "context = true", 10, "True is not of the type int"),
    ("context = 4096", "context = 4096.5", 10, "4096.5 is not of the type int"),
    ("context = 4096", "context = 0", 10, "less than 1"),
    ("context_minimum = 1024", "context_minimum = 8192", 11, "8192 is more than context"),
    ('reserve = "256MiB"', 'reserve = "256"', 9, "'256' has no unit"),
    ('reserve = "256MiB"', "reserve = 256", 9, "256 is not of the type str"),
    ('reserve = "256MiB"', 'reserve = "256 megs"', 9, "'256 megs' is not a size"),
    ('memory = "96GiB"', 'memory = "96GiB/s"', 24, "'96GiB/s' is not a size"),
    ('bandwidth = "4000GB/s"', 'bandwidth = "4000GB"', 25, "not a size a second"),
    ('bandwidth = "4000GB/s"', 'bandwidth = "4000/s"', 25, "has no unit"),
    ("compute = 1_000_000", 'compute = "1 TFLOP"', 26, "not of the type int"),
    ("compute = 1_000_000", "compute = -1", 26, "less than 1"),
    ('compute_capability = "12.0"', 'compute_capability = "12"', 27, 'not written like "8.6"'),
    ("cap_fraction = 0.9", "cap_fraction = 1.5", 8, "1.5 is not between 0 and 1"),
    ("cap_fraction = 0.9", 'cap_fraction = 0.9\ncap = "6GiB"', 9, "stands beside cap_fraction"),
    ("cap_fraction = 0.9\n", "", 7, "lacks the key 'cap_fraction'"),
    ("tree_width = 8\n", "", 7, "lacks the key 'tree_width'"),
    ('precisions = ["int8"]', 'precisions = ["int3"]', 19, "'int3' is none of"),
    ('precisions = ["int8"]', "precisions = [8]", 19, "not a list of texts"),
    ('[match]\nkind = "cuda"', '[match]\nkind = "toaster"', 4, "'toaster' is none of"),
    ('[device]\nkind = "cuda"', '[device]\nkind = "toaster"', 22, "'toaster' is none of"),
    ('name = "NVIDIA GeForce RTX 9999"\n', "", 21, "lacks the key 'name'"),
    ('compute_capability = "12.0"', "count = 0", 27, "less than 1"),
]


@pytest.mark.parametrize(("old", "new", "line", "words"), BAD, ids=[case[3] for case in BAD])
def test_what_is_wrong_is_named_with_file_and_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        read_profile(path)
    assert caught.value.message.startswith(f"{path}:{line}: "), caught.value.message
    assert words in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "place"), [("summary = ", "end of document"), ("[policy\n", "line 1"), ("a = 1\na = 2\n", "line 2")]
)
def test_what_is_no_toml_says_where(tmp_path: Path, text: str, place: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match=place) as caught:
        read_profile(path)
    assert str(path) in caught.value.message


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"binary\.toml"):
        read_profile(path)


def test_a_table_must_be_one(tmp_path: Path) -> None:
    path = written(tmp_path, "policy = 3\n")
    with pytest.raises(UsageError, match="must be a table"):
        read_profile(path)


def test_the_profiles_lie_beside_a_working_copy() -> None:
    assert profile_folder().is_dir()
