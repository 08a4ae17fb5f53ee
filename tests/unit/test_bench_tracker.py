"""The tracker of live tensor bytes counts storages, once, while they live."""

from __future__ import annotations

import torch
from torch import nn

from specmemo_chat.bench.measuring.tracker import LiveBytes, generation_memory


def test_views_count_once_and_freed_memory_no_more() -> None:
    with LiveBytes() as live:
        first = torch.zeros(1000)
        view = first[:10].view(2, 5)
        assert live.now == 4000
        second = first + 1
        assert live.now == 8000
        del first
        assert live.now == 8000  # the view holds it
        del view
        assert live.now == 4000
        del second
        assert live.now == 0
    assert live.peak == 8000


def test_temporaries_are_in_the_peak() -> None:
    with LiveBytes() as live:
        kept = (torch.ones(250) * 2 + 1).sum()
        assert live.now == kept.nbytes
    assert live.peak >= 2 * 1000


def test_weights_are_left_out() -> None:
    model = nn.Linear(100, 100)
    with torch.inference_mode(), generation_memory((model,), "cpu") as measured:
        out = model(torch.zeros(1, 100))
        del out
    # Input and output; the weight's 40,000 bytes were there before.
    assert 800 <= measured.peak_bytes < 2000
