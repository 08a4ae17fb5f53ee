"""What `specmemo probe` shows: the object of docs/reference.md, and the same as lines for people."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.probe import Probe, cpu_flags, cpu_threads
from specmemo_chat.device.probe import probe as look
from specmemo_chat.device.torch_build import torch_version
from specmemo_chat.errors import UsageError
from specmemo_chat.profiles import match_profile
from specmemo_chat.setup import planning
from specmemo_chat.sizes import counted, format_size
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.gauge import EMPTY, FULL, bar_cells, gauge

BAR_CELLS = 40
SHOWN_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8", "asimd", "bf16")


def show_probe(screen: Screen, *, as_json: bool) -> None:
    """Look at the machine once and print what was found."""
    found = look()
    values = probe_json(found)
    if as_json:
        screen.print_json(values)
        return
    for line in probe_lines(found, values, screen.out.width if screen.terminal else 80):
        screen.line(styled(line))


def styled(line: str) -> Text:
    """A line for people with its first word in the colour of what it tells."""
    text = Text(line)
    text.highlight_regex(r"^  \S+", "bold")
    text.highlight_regex(r"^(processor|profile)", "dim")
    text.highlight_regex(rf"[{FULL}{EMPTY}]+", "blue")
    text.highlight_regex(r"(?<=^profile )[^:]+", "bold cyan")
    text.highlight_regex(r"[0-9.]+ [KMGT]iB usable", "green")
    text.highlight_regex(r"^(problem:.*|no GPU was found)", "yellow")
    return text


def probe_json(found: Probe) -> dict[str, Any]:
    """The object of docs/reference.md."""
    cpu, problems = found.cpu, list(found.problems)
    profile: dict[str, str] = {"name": "default", "reason": "no profile could be read"}
    try:
        chosen, reason = match_profile(found.devices[0], planning.own_profiles())
        profile = {"name": chosen.name, "reason": reason}
    except UsageError as error:
        problems.append(error.message)
    return {
        "schema": 1,
        "host": {
            "name": platform.node(),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "torch": torch_version(),
        },
        "cpu": {
            "name": cpu.name,
            "threads": cpu_threads(),
            "native_bf16": cpu.native_bf16,
            "flags": [flag for flag in SHOWN_FLAGS if flag in cpu_flags()],
        },
        "memory": {
            "total_bytes": cpu.total_bytes,
            "free_bytes": cpu.free_bytes,
            "usable_bytes": cpu.usable_bytes,
            "container_limit_bytes": found.container.limit_bytes if found.container is not None else None,
        },
        "devices": [_device_json(device) for device in found.devices],
        "profile": profile,
        "problems": problems,
    }


def _device_json(device: DeviceInfo) -> dict[str, Any]:
    capability = device.compute_capability
    values: dict[str, Any] = {
        "index": device.index,
        "kind": device.kind,
        "name": device.name,
        "uuid": device.uuid,
        "total_bytes": device.total_bytes,
        "free_bytes": device.free_bytes,
        "usable_bytes": device.usable_bytes,
        "driver": device.driver,
        "compute_capability": f"{capability[0]}.{capability[1]}" if capability else None,
    }
    if device.memory_bandwidth:
        values["memory_bandwidth"] = device.memory_bandwidth
    return values


def _facts(device: DeviceInfo) -> Iterator[str]:
    """What a driver tells of a GPU."""
    yield f"driver {device.driver or 'not known'}"
    if device.compute_capability is not None:
        yield "compute capability {}.{}".format(*device.compute_capability)
    if device.memory_bandwidth:
        yield f"{device.memory_bandwidth / 1e9:,.0f} GB/s"
    yield "native bf16" if device.native_bf16 else "no native bf16"


def probe_lines(found: Probe, values: dict[str, Any], width: int = 80) -> list[str]:
    """The same for people, on a terminal of `width` columns."""
    host, cpu = values["host"], values["cpu"]
    bf16 = "native bf16" if cpu["native_bf16"] else "no native bf16"
    threads = counted(cpu["threads"], "thread")
    lines = [
        f"{host['name']}: {host['system']}, Python {host['python']}, torch {host['torch'] or 'not installed'}",
        f"processor: {cpu['name']}, {threads}, {bf16}",
        "",
    ]
    for device in found.devices:
        lines.append(
            f"  {device.torch_name:<8} {device.name}: {format_size(device.total_bytes)} total, "
            f"{format_size(device.free_bytes)} free, {format_size(device.usable_bytes)} usable"
        )
        if device.kind != "cpu":
            lines.append(f"  {'':<8} {', '.join(_facts(device))}")
        if device.total_bytes:
            used = device.total_bytes - device.free_bytes
            cells = min(BAR_CELLS, bar_cells(width, 23))
            bar = gauge(used, device.total_bytes, cells)
            lines.append(f"  {'':<8} {bar} {100 * used / device.total_bytes:.0f} % used")
    if found.container is not None:
        lines.append(f"  a container limits the memory to {format_size(found.container.limit_bytes)}")
    profile = values["profile"]
    lines += ["", f"profile {profile['name']}: {profile['reason']}"]
    lines += [f"problem: {problem}" for problem in values["problems"]]
    if found.devices == (found.cpu,) and not values["problems"]:
        lines.append("no GPU was found: the processor is used")
    return lines
