"""Sizes as people write them: GiB, G (= GiB), GB (10^9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specmemo_chat.errors import UsageError
from specmemo_chat.sizes import GIB, KIB, MIB, TIB, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("6GiB", 6 * GIB),
        ("6G", 6 * GIB),
        ("6g", 6 * GIB),
        ("6GB", 6 * 10**9),
        ("6gb", 6 * 10**9),
        ("6 GiB", 6 * GIB),
        (" 800MB ", 800 * 10**6),
        ("512MiB", 512 * MIB),
        ("1.5g", 3 * GIB // 2),
        (".5GiB", GIB // 2),
        ("0.1TB", 10**11),
        ("1T", TIB),
        ("4k", 4 * KIB),
        ("800000000", 800_000_000),
        ("17B", 17),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "lots", "6XB", "-6GiB", "6iB", "iB", "6,5GiB", "1e9", "6 GiB more", "0", "0GiB", "0.1B", "٣GiB", "6GiBB"],
)
def test_what_is_no_size_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_size(text)
    assert repr(text) in caught.value.message
    assert "6GiB" in (caught.value.remedy or "")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (6 * GIB, "6.0 GiB"),
        (412 * MIB + 300 * KIB, "412.3 MiB"),
        (MIB - 1, "1.0 MiB"),
        (GIB - 1, "1.0 GiB"),
        (TIB, "1.0 TiB"),
        (-3 * MIB, "-3.0 MiB"),
        (13_476_831_232, "12.6 GiB"),
    ],
)
def test_sizes_are_shown(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(min_value=1, max_value=1000 * TIB))
def test_a_shown_size_reads_back_nearly_the_same(size: int) -> None:
    shown = format_size(size)
    assert parse_size(shown) == pytest.approx(size, rel=0.06)
    # Never "1024.0 MiB": the number stays below the next unit.
    assert float(shown.split()[0]) < 1024


@given(st.integers(min_value=1, max_value=1 << 60))
def test_plain_bytes_are_exact(size: int) -> None:
    assert parse_size(str(size)) == size
    assert parse_size(f"{size}B") == size
