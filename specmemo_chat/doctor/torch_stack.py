"""The doctor on memory, GPUs, torch and what several workers talk through. Torch is asked in a helper process."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

from specmemo_chat.device.probe import Probe, probe
from specmemo_chat.device.torch_build import torch_build
from specmemo_chat.device.torch_devices import ask_torch
from specmemo_chat.doctor.findings import Finding
from specmemo_chat.memory.contract import QUANTISED
from specmemo_chat.memory.request import auto_dtype
from specmemo_chat.profiles import match_profile
from specmemo_chat.setup import planning
from specmemo_chat.setup.speeds import measure_rates
from specmemo_chat.sizes import GIB, format_size

HELPER = (sys.executable, "-m", "specmemo_chat.device.torch_helper", "check")
# The import of torch takes seconds on a cold disk; a driver that hangs takes for ever.
TIMEOUT_S = 120.0
INSTALL = "install torch for this machine: https://pytorch.org/get-started/locally"


class Machine:
    """Asks probe and helper once, however many checks need the answer."""

    @functools.cached_property
    def _probe(self) -> Probe:
        return probe()

    @functools.cached_property
    def _asked(self) -> tuple[dict[str, Any], str]:
        return ask_torch(HELPER, {"version", "devices", "gloo", "nccl"}, TIMEOUT_S)

    def memory(self) -> Iterator[Finding]:
        cpu = self._probe.cpu
        limit = ", the container's limit" if self._probe.container is not None else ""
        detail = f"{format_size(cpu.free_bytes)} of {format_size(cpu.total_bytes)} free{limit}"
        if cpu.usable_bytes < GIB:
            yield Finding("memory", "note", detail, "close other programs, or raise the container's limit")
        else:
            yield Finding("memory", "ok", detail)

    def gpus(self) -> Iterator[Finding]:
        """What the driver says; every problem on the way to a GPU comes with its remedy."""
        for problem in self._probe.problems:
            what, remedy = split_problem(problem)
            yield Finding("gpu", "broken", what, remedy)
        others = [device for device in self._probe.devices if device.kind != "cpu"]
        for device in others:
            detail = f"{device.name}, {format_size(device.free_bytes)} of {format_size(device.total_bytes)} free"
            yield Finding("gpu", "ok", f"{device.torch_name}: {detail}, driver {device.driver}")
        if not others and not self._probe.problems:
            yield Finding(
                "gpu",
                "note",
                "no GPU was found: the processor is used",
                "if there is one, install its driver (`nvidia-smi` or `rocminfo` must list it); "
                "in a container, start it with --gpus all",
            )
        profile, reason = match_profile(self._probe.devices[0], planning.own_profiles())
        yield Finding("profile", "ok", f"{profile.name}: {reason}")

    def torch(self) -> Iterator[Finding]:
        """Torch starts, fits the driver, and every GPU multiplies."""
        answer, failure = self._asked
        if failure:
            build = torch_build()
            what = f"torch {build.version} cannot be used" if build is not None else "torch is not installed"
            yield Finding("torch", "broken", f"{what}: {failure}", INSTALL)
            return
        built = f"CUDA {answer['cuda']}" if answer["cuda"] else f"ROCm {answer['hip']}" if answer["hip"] else "the CPU"
        if self._probe.gpus and not answer["cuda_available"]:
            yield Finding(
                "torch",
                "broken",
                f"torch {answer['version']} is built for {built} and sees no GPU, although the driver does",
                f"update the driver, or {INSTALL}; check CUDA_VISIBLE_DEVICES",
            )
        else:
            yield Finding("torch", "ok", f"{answer['version']}, built for {built}")
        for index, device in enumerate(answer["devices"]):
            if device["problem"]:
                yield Finding(
                    "torch",
                    "broken",
                    f"cuda:{index} ({device['name']}, {device['capability']}) does not compute: {device['problem']}",
                    f"close programs that use it (`nvidia-smi`); if this torch is not for its capability, {INSTALL}",
                )

    def products(self) -> Iterator[Finding]:
        """How weights of 8 and 4 bits are multiplied: a processor's products are measured anew."""
        for device in self._probe.gpus:
            if not device.multiplies_packed:
                yield Finding(
                    "products",
                    "note",
                    f"{device.torch_name}: no kernel for weights of 8 and 4 bits: they are unpacked at every product",
                )
        if self._asked[1]:
            return
        rates = measure_rates(self._probe.cpu)
        if rates is None:
            yield Finding("products", "note", "the processor's products cannot be measured", INSTALL)
            return
        own = auto_dtype(self._probe.cpu)
        gains = ", ".join(f"{dtype} {rates.of(own, 1) / rates.of(dtype, 1):.1f}" for dtype in QUANTISED)
        eight = rates.of(own, 8) / rates.of("q8", 8)
        yield Finding(
            "products",
            "ok",
            f"q8 with {rates.product}; times as fast as {own}: {gains}, q8 with 8 rows {eight:.1f}",
        )

    def gloo(self) -> Iterator[Finding]:
        """Needed by several workers only."""
        answer, failure = self._asked
        if failure:
            return
        gloo = answer["gloo"]
        if not gloo["available"]:
            yield Finding("gloo", "note", "not in this torch: `--gpus` on the processor will not work", INSTALL)
        elif gloo["problem"]:
            yield Finding(
                "gloo",
                "note",
                f"cannot open a connection ({gloo['problem']}): `--gpus` will not work",
                "let the machine's own name resolve (/etc/hosts), or export GLOO_SOCKET_IFNAME=lo",
            )
        else:
            yield Finding("gloo", "ok", "several workers can talk")

    def nccl(self) -> Iterator[Finding]:
        """Needed by several NVIDIA or AMD GPUs only."""
        answer, failure = self._asked
        if failure:
            return
        nccl, count = answer["nccl"], len(answer["devices"])
        if count < 2:
            yield Finding("nccl", "ok", "not needed: it is for several GPUs")
        elif not nccl["available"] or nccl["problem"]:
            reason = nccl["problem"] or "it is not in this torch"
            yield Finding(
                "nccl",
                "broken",
                f"{count} GPUs cannot work together: {reason}",
                f"{INSTALL}; in a container, more shared memory (--shm-size 1g); NCCL_DEBUG=WARN says more",
            )
        else:
            yield Finding("nccl", "ok", f"version {nccl['version']}")


def split_problem(problem: str) -> tuple[str, str]:
    """What is wrong and what to do, from the probe's one sentence."""
    for mark in ("; ", ": "):
        what, found, remedy = problem.partition(mark)
        if found:
            return what, remedy
    return problem, "`specmemo probe` shows what was found"
