"""doctor: on machines where something is wrong, the right remedy, the right exit code, and never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from specmemo_chat.device import torch_helper
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.probe import Probe, probe_cpu
from specmemo_chat.doctor import torch_stack
from specmemo_chat.doctor.checks import examine
from specmemo_chat.doctor.findings import Finding
from tests.fake_hub import fake_hub
from tests.powers import bound_by_permissions

NOWHERE = "http://127.0.0.1:9"  # the discard port: refused at once


def run(*before: str, **environment: str) -> tuple[int, dict[str, dict[str, str]]]:
    """`specmemo doctor --json`, after the words `before` of the command line: its exit code, and findings by name."""
    kept = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "HF_TOKEN")}
    done = subprocess.run(
        [*before, sys.executable, "-m", "specmemo_chat", "doctor", "--json"],
        env={**kept, "HF_ENDPOINT": NOWHERE, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    values = json.loads(done.stdout)
    assert values["schema"] == 1
    assert values["ok"] is (done.returncode == 0)
    assert done.returncode == any(check["status"] == "broken" for check in values["checks"])
    assert all(check.get("remedy") for check in values["checks"] if check["status"] != "ok")
    return done.returncode, {check["name"]: check for check in values["checks"]}


def test_a_machine_without_gpu_and_network_is_noted_and_not_broken() -> None:
    code, found = run(SPECMEMO_MAXMEM="1GiB")
    assert code == 0, found
    assert found["hub"]["status"] == "note"
    assert "cannot be reached" in found["hub"]["detail"]
    assert "HTTPS_PROXY" in found["hub"]["remedy"]
    assert "hf auth login" in found["token"]["remedy"]
    assert "SPECMEMO_MAXMEM" in found["environment"]["detail"]
    assert found["torch"]["status"] == found["gloo"]["status"] == found["bundled model"]["status"] == "ok"
    assert found["gpu"]["status"] in ("note", "ok")


def test_a_read_only_home_is_broken_and_says_what_to_set() -> None:
    home = Path(os.environ["HOME"])
    home.chmod(0o500)
    try:
        code, found = run(*bound_by_permissions())
    finally:
        home.chmod(0o700)
    assert code == 1
    for name, variable in (("data folder", "XDG_DATA_HOME"), ("state folder", "XDG_STATE_HOME")):
        assert found[name]["status"] == "broken"
        assert "Permission denied" in found[name]["detail"]
        assert variable in found[name]["remedy"]
    assert found["torch"]["status"] == "ok"


def mounted(folder: Path, options: str, before: str = "true") -> tuple[str, ...]:
    """What to put before a command, so that it alone sees a small tmpfs at `folder`. `before` runs first there."""
    script = f'mount -t tmpfs -o {options} none {folder} && {before}; exec "$@"'
    inside = ("unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh")
    if shutil.which("unshare") is None or subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("this system does not let a user mount a tmpfs")
    return inside


def test_a_full_disk_is_broken_and_says_where(tmp_path: Path) -> None:
    inside = mounted(tmp_path, "size=64k", f"cat /dev/zero > {tmp_path}/zeros 2> /dev/null")
    code, found = run(*inside, XDG_DATA_HOME=str(tmp_path), HF_HOME=str(tmp_path / "hf"))
    assert code == 1
    assert "the disk is full" in found["data folder"]["detail"]
    assert "free some space" in found["data folder"]["remedy"]
    assert "HF_HOME" in found["model cache"]["remedy"]
    assert found["state folder"]["status"] == "ok"


def test_a_home_that_is_mounted_read_only(tmp_path: Path) -> None:
    inside = mounted(tmp_path, "ro,size=64k")
    code, found = run(*inside, HOME=str(tmp_path), XDG_STATE_HOME=str(tmp_path / "state"))
    assert code == 1
    assert "Read-only file system" in found["state folder"]["detail"]
    assert found["state folder"]["remedy"].startswith(f"mount {tmp_path} for writing, or set XDG_STATE_HOME")
    assert found["data folder"]["status"] == found["sessions"]["status"] == "ok"


@pytest.mark.parametrize("options", ["ro,size=64k", "size=64k"])
def test_a_chat_works_where_nothing_can_be_written(tmp_path: Path, options: str) -> None:
    """Neither conversation, nor log, nor measurements: that costs them, and not the reply."""
    inside = mounted(tmp_path, options, f"cat /dev/zero > {tmp_path}/zeros 2> /dev/null")
    folders = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
    done = subprocess.run(
        [*inside, sys.executable, "-m", "specmemo_chat", "chat", "--session", "x", "-n", "4", "-p", "Hello!"],
        env={**os.environ, **dict.fromkeys(folders, str(tmp_path))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr.count("this chat is not saved") == 1
    assert "Traceback" not in done.stderr


def test_broken_files_are_found() -> None:
    config = Path(os.environ["XDG_CONFIG_HOME"]) / "specmemo" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("temperature = 'hot'\n")
    data = Path(os.environ["XDG_DATA_HOME"]) / "specmemo"
    data.mkdir(parents=True)
    (data / "sessions.db").write_bytes(b"no database" * 100)
    code, found = run()
    assert code == 1
    assert f"{config}:1" in found["configuration"]["detail"]
    assert "is corrupt" in found["sessions"]["detail"]
    assert "move it away" in found["sessions"]["remedy"]


@pytest.mark.parametrize(("token", "status"), [("hf_good", "ok"), ("hf_refused", "broken")])
def test_a_token_is_tried_and_never_printed(
    token: str, status: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with fake_hub() as hub:
        code, found = run(HF_ENDPOINT=hub.url, HF_TOKEN=token)
    assert found["hub"]["status"] == "ok"
    assert found["token"]["status"] == status
    assert code == (status == "broken")
    assert token not in json.dumps(found)
    # What is said to the hub names no more than the client itself.
    assert hub.agents
    assert not [agent for agent in hub.agents if "torch/" in agent or "agent/" in agent]


# --- a machine that is not here: what the driver and torch answer is given ---------------------------------------


def gpu(index: int = 0) -> DeviceInfo:
    return DeviceInfo(index, "cuda", "Titan", f"uuid{index}", 24 << 30, 20 << 30, 19 << 30, "580.1", (7, 5))


def answer(**changes: Any) -> dict[str, Any]:
    works = {"available": True, "problem": ""}
    return {
        "version": "2.13.0", "cuda": "12.9", "hip": "", "cuda_available": True, "devices": [],
        "gloo": works, "nccl": {**works, "version": "2.27"}, **changes,
    }  # fmt: skip


def findings(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], failure: str = "", *, gpus: int = 0, problems: Any = ()
) -> dict[str, Finding]:
    devices = (*(gpu(index) for index in range(gpus)), probe_cpu())
    monkeypatch.setattr(torch_stack, "probe", lambda: Probe(devices, tuple(problems)))
    monkeypatch.setattr(torch_stack, "ask_torch", lambda *_: (said, failure))
    machine = torch_stack.Machine()
    checks = {"gpu": machine.gpus, "torch": machine.torch, "gloo": machine.gloo, "nccl": machine.nccl}
    found: dict[str, Finding] = {}
    for finding in examine(checks):
        if finding.name not in found or finding.status == "broken":
            found[finding.name] = finding
    return found


def test_a_driver_without_a_torch_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    found = findings(monkeypatch, answer(cuda_available=False), gpus=1)
    assert found["torch"].status == "broken"
    assert "sees no GPU" in found["torch"].detail
    assert "update the driver" in found["torch"].remedy
    problem = "NVML error 18 (mismatch): the driver and its library have different versions: restart the machine"
    found = findings(monkeypatch, answer(), problems=[problem])
    assert found["gpu"].status == "broken"
    assert found["gpu"].remedy.endswith("restart the machine")


def test_a_gpu_that_does_not_compute_and_gpus_that_cannot_talk(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [{"name": "Titan", "capability": "7.5", "problem": "no kernel image is available"}, {"name": "Titan",
               "capability": "7.5", "problem": ""}]  # fmt: skip
    broken = {"available": False, "problem": "", "version": ""}
    gloo = {"available": True, "problem": "cannot resolve the machine's name"}
    found = findings(monkeypatch, answer(devices=devices, nccl=broken, gloo=gloo), gpus=2)
    assert "no kernel image" in found["torch"].detail
    assert "cannot work together" in found["nccl"].detail
    assert "GLOO_SOCKET_IFNAME" in found["gloo"].remedy
    assert found["gpu"].status == "ok"
    assert "580.1" in found["gpu"].detail
    healthy = findings(monkeypatch, answer(devices=devices[1:] * 2), gpus=2)
    assert {finding.status for finding in healthy.values()} == {"ok"}


def test_torch_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    found = findings(monkeypatch, {}, "ImportError: libcudart.so.12: cannot open shared object file")
    assert found["torch"].status == "broken"
    assert "libcudart" in found["torch"].detail
    assert "pytorch.org" in found["torch"].remedy


def test_a_helper_that_fails_hangs_or_babbles_is_no_error() -> None:
    def ask(code: str, timeout: float = 20) -> str:
        said, failure = torch_stack.ask_torch((sys.executable, "-c", code), {"version"}, timeout)
        assert not said
        return failure

    assert ask("import torch_is_not_here") == "ModuleNotFoundError: No module named 'torch_is_not_here'"
    assert ask("import time; time.sleep(60)", 0.5) == "it did not answer within 0 s"
    assert "cannot be read" in ask("print('hello')")
    assert "not complete" in ask("print('{}')")
    assert "cannot be started" in torch_stack.ask_torch(("/nowhere/python",), {"version"}, 1.0)[1]


def test_a_check_that_fails_itself_is_a_finding() -> None:
    def fails() -> Any:
        raise RuntimeError("boom")

    (finding,) = examine({"disk": fails})
    assert (finding.status, finding.name) == ("broken", "disk")
    assert "boom" in finding.detail


def test_the_helper_reports_every_device_and_backend() -> None:
    """With a torch of two GPUs, one of which fails."""

    class Ones:
        def __init__(self, device: str) -> None:
            if device.endswith("1"):
                raise RuntimeError("CUDA error: out of memory\nmore lines")

        def __matmul__(self, other: Ones) -> Any:
            return SimpleNamespace(sum=lambda: 64.0**3)

    cuda = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 2,
        get_device_capability=lambda index: (9, 0),
        get_device_name=lambda index: "H200",
        nccl=SimpleNamespace(version=lambda: (2, 27, 3)),
    )
    torch = SimpleNamespace(
        __version__="2.13",
        version=SimpleNamespace(cuda="12.9", hip=None),
        cuda=cuda,
        ones=lambda *_, device: Ones(device),
    )

    def refuse(name: str, **_arguments: Any) -> None:
        if name == "nccl":
            raise RuntimeError("[enforce fail at /build/gloo/tcp/device.cc:212] no socket\nmore lines")

    distributed = SimpleNamespace(
        is_available=lambda: True, is_gloo_available=lambda: True, is_nccl_available=lambda: True,
        init_process_group=refuse, destroy_process_group=lambda: None, HashStore=object,
    )  # fmt: skip
    said = torch_helper.check(torch, distributed)
    assert [device["problem"] for device in said["devices"]] == ["", "CUDA error: out of memory"]
    assert said["gloo"] == {"available": True, "problem": ""}
    assert said["nccl"] == {"available": True, "problem": "no socket", "version": "2.27.3"}
