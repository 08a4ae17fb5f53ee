"""GGUF files: what the bounded reader finds, held against the gguf package, and what it refuses."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from specmemo_chat.catalog.gguf import TYPES, Words, part_names, read_gguf
from specmemo_chat.errors import ModelError

STRING, ARRAY, UINT32, UINT8, BOOL, FLOAT = 8, 9, 4, 0, 7, 6
F32, Q4_0 = 0, 2


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def tensor(name: str, sizes: tuple[int, ...], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset)


def file_of(
    folder: Path,
    keys: tuple[bytes, ...] = (),
    tensors: tuple[bytes, ...] = (),
    data: int = 0,
    *,
    version: bytes = struct.pack("<I", 3),
    name: str = "m.gguf",
) -> Path:
    """A file written byte by byte: `data` zeros stand for the weights."""
    head = b"GGUF" + version + struct.pack("<QQ", len(tensors), len(keys)) + b"".join(keys) + b"".join(tensors)
    (folder / name).write_bytes(head + bytes(-len(head) % 32) + bytes(data))
    return folder / name


def written(path: Path, fill: Callable[[gguf.GGUFWriter], None], **options: Any) -> Path:
    """A file of the gguf package's writer."""
    writer = gguf.GGUFWriter(path, "llama", **options)
    fill(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def fill(writer: gguf.GGUFWriter) -> None:
    values = np.random.default_rng(1).standard_normal((8, 64)).astype(np.float32)
    writer.add_context_length(2048)
    writer.add_rope_freq_base(10000.5)
    writer.add_add_bos_token(True)
    writer.add_token_list(["a", "é", "日本", ""])
    writer.add_token_scores([0.0, -1.5, 2.25, 3.0])
    writer.add_token_types([1, 3, 6, 2])
    writer.add_array("llama.pattern", [True, False, True])
    writer.add_array("llama.nested", [[1, 2], [3]])
    writer.add_uint64("llama.large", 1 << 40)
    writer.add_tensor("norm", values[0])
    writer.add_tensor("half", values.astype(np.float16))
    packed = gguf.quantize(values, gguf.GGMLQuantizationType.Q5_1)
    writer.add_tensor("small", packed, raw_dtype=gguf.GGMLQuantizationType.Q5_1)


def test_reads_what_the_package_writes_and_reads(tmp_path: Path) -> None:
    path = written(tmp_path / "m.gguf", fill)
    found, reference = read_gguf(path), gguf.GGUFReader(path)
    for name, field in reference.fields.items():
        if not name.startswith("GGUF.") and name != "llama.nested":
            value = found.metadata[name]
            wanted = field.contents()
            assert (list(value) if isinstance(wanted, list) else value) == wanted, name
    assert [list(each) for each in found.metadata["llama.nested"]] == [[1, 2], [3]]
    assert set(found.tensors) == {"norm", "half", "small"}
    for there in reference.tensors:
        info = found.tensors[there.name]
        assert (list(info.shape), info.type) == (there.shape.tolist()[::-1], there.tensor_type.name)
        assert (info.offset, info.nbytes, info.file) == (there.data_offset, there.n_bytes, path)
    assert found.nbytes == path.stat().st_size


def test_every_type_has_its_size() -> None:
    for number, (name, values, nbytes) in TYPES.items():
        kind = gguf.GGMLQuantizationType(number)
        assert kind.name == name
        # The package counts the sum of a block of Q8_1, which stands in no file, in fp32.
        assert name == "Q8_1" or gguf.GGML_QUANT_SIZES[kind] == (values, nbytes)


def test_words_are_left_out_where_they_are_not_wanted(tmp_path: Path) -> None:
    path = written(tmp_path / "m.gguf", fill)
    assert read_gguf(path, words=False).metadata["tokenizer.ggml.tokens"] == Words(4, 6)
    assert list(read_gguf(path, words=False).metadata["tokenizer.ggml.token_type"]) == [1, 3, 6, 2]


def test_an_older_version_and_another_alignment(tmp_path: Path) -> None:
    keys = (key("general.alignment", UINT32, struct.pack("<I", 8)),)
    tensors = (tensor("a", (4,), F32, 0), tensor("b", (2,), F32, 16))
    found = read_gguf(file_of(tmp_path, keys, tensors, 64, version=struct.pack("<I", 2)))
    assert found.tensors["b"].offset - found.tensors["a"].offset == 16


def test_a_split_file_is_opened_from_any_part(tmp_path: Path) -> None:
    written(tmp_path / "m.gguf", fill, split_max_tensors=1)
    names = [f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names == part_names(names[1])
    for name in names:
        found = read_gguf(tmp_path / name)
        assert found.metadata["llama.context_length"] == 2048
        assert [found.tensors[each].file.name for each in ("norm", "half", "small")] == names
    (tmp_path / names[1]).rename(tmp_path / "away.gguf")
    with pytest.raises(ModelError, match=r"m-00002-of-00003.gguf is missing: part 2 of 3"):
        read_gguf(tmp_path / names[2])
    with pytest.raises(ModelError, match="its name does not say which"):
        read_gguf(tmp_path / "away.gguf")
    (tmp_path / names[1]).write_bytes((tmp_path / names[2]).read_bytes())
    with pytest.raises(ModelError, match="it is not part 2 of 3"):
        read_gguf(tmp_path / names[0])


def array(kind: int, count: int, values: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + values


A = tensor("a", (32,), F32, 0)
DAMAGED: dict[str, tuple[dict[str, Any], str]] = {
    "key twice": ({"keys": (key("k", UINT8, b"1"),) * 2}, "the key k stands there twice"),
    "tensor twice": ({"tensors": (A, tensor("a", (32,), F32, 128)), "data": 512}, "tensor a stands there twice"),
    "unknown value": ({"keys": (key("k", 77, b"1234"),)}, "the key k has the value type 77"),
    "unknown type": ({"tensors": (tensor("a", (32,), 99, 0),), "data": 512}, "tensor a has the type 99"),
    "removed type": ({"tensors": (tensor("a", (32,), 4, 0),), "data": 512}, "tensor a has the type 4"),
    "overlap": ({"tensors": (A, tensor("b", (32,), F32, 64)), "data": 512}, "tensor b overlaps with a"),
    "misaligned": ({"tensors": (A, tensor("b", (32,), F32, 130)), "data": 512}, "tensor b is not aligned to 32"),
    "behind the end": ({"tensors": (tensor("a", (32,), F32, 1 << 40),), "data": 512}, "tensor a ends at byte"),
    "truncated": ({"tensors": (A,), "data": 100}, "truncated: the tensor a ends at byte"),
    "overflow": ({"tensors": (tensor("a", (1 << 60, 1 << 60), F32, 0),), "data": 512}, "tensor a ends at byte"),
    "no values": ({"tensors": (tensor("a", (32, 0), F32, 0),), "data": 512}, "tensor a of F32 has the shape"),
    "no blocks": ({"tensors": (tensor("a", (40, 2), Q4_0, 0),), "data": 512}, "tensor a of Q4_0 has the shape"),
    "dimensions": ({"tensors": (tensor("a", (1,) * 9, F32, 0),), "data": 512}, "tensor a has 9 dimensions"),
    "long text": ({"keys": (text("k") + struct.pack("<IQ", STRING, 1 << 30),)}, "the key k ends at byte"),
    "long name": ({"keys": (struct.pack("<Q", 1 << 62),)}, "name of key 1 ends at byte"),
    "long array": ({"keys": (key("k", ARRAY, array(FLOAT, 1 << 20)),)}, "the key k cannot have 1,048,576 entries"),
    "huge array": ({"keys": (key("k", ARRAY, array(STRING, 1 << 60)),)}, "the key k cannot have"),
    "long word": ({"keys": (key("k", ARRAY, array(STRING, 1, struct.pack("<Q", 1 << 30))),)}, "the key k ends at"),
    "deep": ({"keys": (key("k", ARRAY, array(ARRAY, 1) * 9),), "data": 512}, "the key k cannot have"),
    "no text": ({"keys": (key("k", STRING, text(b"\xff\xfe")),)}, "the key k holds no text in UTF-8"),
    "no word": ({"keys": (key("k", ARRAY, array(STRING, 1, text(b"\xff"))),)}, "the key k holds no text in UTF-8"),
    "alignment": ({"keys": (key("general.alignment", UINT32, struct.pack("<I", 24)),)}, "general.alignment is 24"),
    "big endian": ({"version": struct.pack(">I", 3)}, "is big endian"),
    "too new": ({"version": struct.pack("<I", 4)}, "version 4, which is too new"),
    "too old": ({"version": struct.pack("<I", 1)}, "version 1, which is too old"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_what_is_wrong_is_named(tmp_path: Path, case: str) -> None:
    parts, wanted = DAMAGED[case]
    path = file_of(tmp_path, **parts)
    with pytest.raises(ModelError, match=wanted) as caught:
        read_gguf(path)
    assert str(path) in caught.value.message
    assert caught.value.remedy


def test_counts_that_lie(tmp_path: Path) -> None:
    for counts in ((1 << 60, 0), (0, 1 << 60), (1 << 62, 1 << 62)):
        path = tmp_path / "m.gguf"
        path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, *counts) + bytes(4096))
        with pytest.raises(ModelError, match="it cannot have"):
            read_gguf(path)


def test_a_length_that_lies_takes_no_memory(tmp_path: Path) -> None:
    """The file is as long as it says, and sparse: its size alone would allow what its metadata claim."""
    path = file_of(tmp_path, (text("k") + struct.pack("<IQ", STRING, 1 << 30),))
    with path.open("r+b") as stream:
        stream.truncate(2 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=r"the key k ends 1.0 GiB after the file's beginning"):
            read_gguf(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_every_truncation_is_one_error(tmp_path: Path) -> None:
    whole = written(tmp_path / "m.gguf", fill).read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in [*range(0, len(whole), 61), len(whole) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"cut\.gguf"):
            read_gguf(cut)


def test_every_flipped_byte_is_read_or_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "m.gguf", fill).read_bytes()
    broken, refused = tmp_path / "broken.gguf", 0
    for at in range(0, read_gguf(tmp_path / "m.gguf").tensors["norm"].offset, 3):
        broken.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            read_gguf(broken)
        except ModelError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "is empty"),
        (b"<html>", "web page"),
        (b"version https://git-lfs.github.com", "git-lfs pointer"),
        (b"\x08\x00\x00\x00\x00\x00\x00\x00{}", "no GGUF file"),
    ],
)
def test_another_file_is_named(tmp_path: Path, content: bytes, wanted: str) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(ModelError, match=wanted):
        read_gguf(tmp_path / "m.gguf")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_gguf(tmp_path / "m.gguf")
