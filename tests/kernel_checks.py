"""What the Triton kernels must give on any device: unit tests run it in Triton's interpreter, tests/gpu on a GPU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn import functional

from specmemo_chat.models.paths import PLACE, SEEN, narrowed, paths_of
from specmemo_chat.speculation.tree import DraftTree

Heads = tuple[int, int, int]

# Neither is a multiple of a kernel's tile; inputs are one of 32.
OUT, INPUTS = 100, 160
FORMATS = ("dense", "q8", "q4")
# Relative errors of results that are rounded once. The interpreter cuts values short in bf16.
TOLERANCE = {torch.float32: 1e-6, torch.float16: 5e-4, torch.bfloat16: 8e-3}


def weight(products: Any, fmt: str, dtype: torch.dtype, device: str, out: int = OUT, inputs: int = INPUTS) -> Any:
    """A random weight in a format as `Packed`, and its values in fp64."""
    drawn = torch.Generator().manual_seed(out + inputs)
    if fmt == "dense":
        values = torch.randn(out, inputs, generator=drawn).to(dtype)
        return products.Packed(values.to(device)), values.double()
    if fmt == "q8":
        codes = torch.randint(-127, 128, (out, inputs), dtype=torch.int8, generator=drawn)
        scales = torch.rand(out, generator=drawn) / 127
        return products.Packed(codes.to(device), scales.to(device)), codes.double() * scales.double()[:, None]
    codes = torch.randint(0, 16, (out, inputs // 32, 2, 16), dtype=torch.uint8, generator=drawn)
    scales, minima = torch.rand(2, out, inputs // 32, generator=drawn).bfloat16()
    minima = -8 * minima
    values = codes.double() * scales.double()[..., None, None] + minima.double()[..., None, None]
    halves = torch.stack((scales, minima), -1).view(torch.int32)[..., 0]
    pairs = (codes[:, :, 0] | codes[:, :, 1] << 4).flatten(1)
    # The kernel multiplies by values of the computation's precision.
    return products.Packed(pairs.to(device), halves.to(device)), values.flatten(1).to(dtype).double()


def given(rows: int, dtype: torch.dtype, device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, bias and residual."""
    drawn = torch.Generator().manual_seed(0)
    shapes = ((OUT,), (rows, INPUTS), (rows, OUT))
    bias, x, residual = (torch.randn(shape, generator=drawn).to(device, dtype) for shape in shapes)
    return x, bias, residual


def assert_products(products: Any, fmt: str, dtype: torch.dtype, rows: int, parts: int, device: str = "cpu") -> None:
    """A product with bias and residual is torch's of the unpacked weight in fp64; one without either too."""
    packed, values = weight(products, fmt, dtype, device)
    x, bias, residual = given(rows, dtype, device)
    whole = products.product(x, replace(packed, bias=bias, splits=parts), residual)
    bare = products.product(x, replace(packed, splits=parts))
    right = functional.linear(x.double().cpu(), values)
    for got, expected in ((bare, right), (whole, right + bias.double().cpu() + residual.double().cpu())):
        assert got.dtype == dtype
        assert (got.double().cpu() - expected).norm() <= TOLERANCE[dtype] * expected.norm()


def assert_rows_independent(
    products: Any, fmt: str, dtype: torch.dtype, parts: int, device: str = "cpu", most: int = 80
) -> None:
    """Any number of rows, in any order, gives each row the same bits."""
    packed, _ = weight(products, fmt, dtype, device)
    x, bias, residual = given(most, dtype, device)
    packed = replace(packed, bias=bias, splits=parts)
    whole = products.product(x, packed, residual)
    for rows in (1, 15, 17, 40):
        order = torch.randperm(most, generator=torch.Generator().manual_seed(rows))[:rows].to(device)
        assert torch.equal(products.product(x[order], packed, residual[order]), whole[order]), rows


# A tree with branches.
TREE = DraftTree(tuple(range(7)), (-1, 0, 0, 1, 2, 4, 3))


@dataclass(frozen=True)
class Scene:
    """Two rows' trees behind texts of some length."""

    query: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    paths: torch.Tensor

    @classmethod
    def random(cls, dtype: torch.dtype, heads: Heads, lengths: tuple[int, int], device: str) -> Scene:
        """`heads`: key heads, queries of each, width."""
        kv_heads, group, width = heads
        drawn, nodes = torch.Generator().manual_seed(width), len(TREE)
        paths = paths_of((TREE, TREE), lengths, (nodes, nodes), nodes).to(device)
        shape = (2, kv_heads, max(lengths) + nodes + 1, width)
        keys, values = (torch.randn(shape, generator=drawn).to(device, dtype) for _ in range(2))
        query = torch.randn((2 * nodes, kv_heads * group, width), generator=drawn).to(device, dtype)
        return cls(query, keys, values, paths)

    def attended(self, attention: Any) -> torch.Tensor:
        """What the kernels give: [T, heads, d]."""
        scale, view = self.query.shape[-1] ** -0.5, self.keys.shape[2]
        result: torch.Tensor = attention.tree_attention(self.query, self.keys, self.values, self.paths, view, scale)
        return result

    def expected(self) -> torch.Tensor:
        """The same by a softmax over each node's text in fp64."""
        results = []
        for at, query in enumerate(self.query.double().cpu()):
            place, text = int(self.paths[PLACE, at]), self.text(at)[int(self.paths[SEEN, at]) :]
            keys, values = (kept[place].double().cpu()[:, text] for kept in (self.keys, self.values))
            grouped = query.view(len(keys), -1, query.shape[-1])
            weights = torch.softmax(grouped @ keys.transpose(1, 2) * query.shape[-1] ** -0.5, -1)
            results.append((weights @ values).flatten(0, 1))
        return torch.stack(results)

    def text(self, at: int) -> list[int]:
        """The slots of a node's text."""
        _, length, depth, _, *slots = self.paths[:, at].tolist()
        return [*range(length), *slots[: depth + 1]]

    def part(self, chosen: torch.Tensor) -> Scene:
        """Some of the nodes."""
        chosen = chosen.to(self.paths.device)
        return replace(self, query=self.query[chosen], paths=self.paths[:, chosen].contiguous())

    def later(self, at: int) -> Scene:
        """One node as the root of a step before which its path was committed."""
        keys, values, text = self.keys.clone(), self.values.clone(), self.text(at)
        place = int(self.paths[PLACE, at])
        for kept, moved in ((self.keys, keys), (self.values, values)):
            moved[place, :, : len(text)] = kept[place][:, text]
        paths = paths_of((DraftTree.root_only(0),), (len(text) - 1,), (1,), 1).to(keys.device)
        paths[PLACE] = place
        return Scene(self.query[at : at + 1], keys, values, paths)


def assert_attention(
    attention: Any, dtype: torch.dtype, heads: Heads, lengths: tuple[int, int], device: str = "cpu"
) -> None:
    """Attention of two trees is the softmax over each node's text, of all of it and of a window."""
    scene = Scene.random(dtype, heads, lengths, device)
    for seen in (scene, replace(scene, paths=narrowed(scene.paths, 20))):
        expected = seen.expected()
        difference = seen.attended(attention).double().cpu() - expected
        assert difference.norm() <= TOLERANCE[dtype] * expected.norm()


def assert_nodes_independent(
    attention: Any, dtype: torch.dtype, heads: Heads, lengths: tuple[int, int], device: str = "cpu"
) -> None:
    """A node alone, among nodes in any order and as the root of a later step has the same bits."""
    scene = Scene.random(dtype, heads, lengths, device)
    whole = scene.attended(attention)
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(1))
    assert torch.equal(scene.part(order).attended(attention), whole[order.to(device)])
    for at in (0, 5, 6, 10):
        assert torch.equal(scene.part(torch.tensor([at])).attended(attention)[0], whole[at]), at
        assert torch.equal(scene.later(at).attended(attention)[0], whole[at]), at
