"""The bytes of weights by format, in numbers that were measured or follow from the layout."""

from __future__ import annotations

from specmemo_chat.memory.matrices import matrix_bytes, packing_bytes, table_bytes, tied_bytes


def test_q8_is_a_byte_a_value_and_what_onednn_pads_to() -> None:
    assert matrix_bytes(3072, 576, "q8") == 3072 * (576 + 4 + 4)
    assert matrix_bytes(100, 96, "q8") == 128 * (128 + 4) + 4 * 100
    assert matrix_bytes(100, 96, "q8", "cuda:0") == 100 * (96 + 4)


def test_q4_is_five_bits_a_value_with_outputs_by_64() -> None:
    assert matrix_bytes(2048, 5632, "q4") == 2048 * 5632 * 5 // 8
    assert matrix_bytes(32_001, 2048, "q4") == 32_064 * 2048 * 5 // 8


def test_plain_formats_are_their_elements() -> None:
    assert [matrix_bytes(3, 5, fmt) for fmt in ("fp32", "bf16", "fp16")] == [60, 30, 30]
    assert [tied_bytes(3, 5, fmt) for fmt in ("fp32", "bf16", "fp16")] == [60, 30, 30]


def test_an_embedding_of_a_q4_model_is_q8_and_tied_a_second_copy_on_a_cpu() -> None:
    assert table_bytes(49_152, 576, "q4") == table_bytes(49_152, 576, "q8") == 49_152 * 580
    assert tied_bytes(49_152, 576, "q4") == 49_152 * (580 + 584)
    assert tied_bytes(49_152, 576, "q4", "cuda:0") == 49_152 * 580


def test_packing_q4_takes_a_block_and_q8_its_codes() -> None:
    assert packing_bytes(32_000, 4096, "q8") == 32_000 * 4096
    assert packing_bytes(11_008, 4096, "q4") - 11_008 * 4096 // 8 == packing_bytes(4096, 4096, "q4") - 4096 * 4096 // 8
    assert packing_bytes(64, 64, "bf16") == 0
    assert packing_bytes(64, 64, "q8") == 24 * 64 * 64
    assert packing_bytes(4096, 4096, "q8", "cuda:0") == 24 << 20
