"""A hub on this machine: the few routes of huggingface.co that a download uses, with ranges, gates and faults."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 1 << 20


@dataclass
class FakeHub:
    """`models` maps a hub id to its folder. `cut_after`: a connection breaks after so many bytes of a large file, once
    for each entry. `served` counts the bytes of large files; `ranges` are the Range headers that were asked, `agents`
    what callers said that they are."""

    url: str = ""
    models: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    cut_after: list[int] = field(default_factory=list)
    damage: bool = False
    served: int = 0
    ranges: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    slow_s: float = 0.0


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """Serve on a free port; `url` is for HF_ENDPOINT."""
    hub = FakeHub()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: object) -> None: ...

        def do_HEAD(self) -> None:
            hub.agents.add(self.headers.get("User-Agent", ""))
            self._file(body=False)

        def do_GET(self) -> None:
            hub.agents.add(self.headers.get("User-Agent", ""))
            if self.path.startswith("/api/whoami"):
                good = self.headers.get("Authorization") == "Bearer hf_good"
                self._json({"name": "tester"} if good else {"error": "Invalid credentials"}, 200 if good else 401)
            elif self.path.startswith("/api/models/"):
                self._model(self.path.removeprefix("/api/models/").split("?")[0])
            else:
                self._file(body=True)

        def _model(self, rest: str) -> None:
            hub_id = rest.split("/revision/")[0].split("/tree/")[0]
            folder = hub.models.get(hub_id)
            if folder is None:
                self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
                return
            files = sorted(path for path in folder.iterdir() if path.is_file())
            if "/tree/" in rest:
                sizes = {file.name: (file.stat().st_size, _etag(file.read_bytes())) for file in files}
                self._json([{"type": "file", "path": name, "size": n, "oid": oid} for name, (n, oid) in sizes.items()])
                return
            self._json(
                {
                    "id": hub_id,
                    "modelId": hub_id,
                    "sha": COMMIT,
                    "siblings": [{"rfilename": path.name, "size": path.stat().st_size} for path in files],
                }
            )

        def _json(self, values: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
            data = json.dumps(values).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _file(self, *, body: bool) -> None:
            hub_id, _, rest = self.path.lstrip("/").partition("/resolve/")
            name = rest.partition("/")[2]
            folder = hub.models.get(hub_id)
            if folder is None or not (folder / name).is_file():
                self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
                return
            if hub_id in hub.gated and self.headers.get("Authorization") != "Bearer hf_good":
                self._json({"error": "gated"}, 403, {"X-Error-Code": "GatedRepo"})
                return
            data = (folder / name).read_bytes()
            etag, total = _etag(data), len(data)
            if hub.damage and total >= LARGE:
                data = b"\0" * total
            asked = self.headers.get("Range")
            start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
            if asked and body:
                hub.ranges.append(asked)
            self.send_response(206 if asked else 200)
            self.send_header("ETag", f'"{etag}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(total - start))
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            self.end_headers()
            if body:
                self._send(data[start:])

        def _send(self, data: bytes) -> None:
            large = len(data) >= LARGE
            if large and hub.cut_after:
                data = data[: hub.cut_after.pop(0)]
                self.close_connection = True
            for at in range(0, len(data), 1 << 18):
                if large and hub.slow_s:
                    threading.Event().wait(hub.slow_s)
                try:
                    self.wfile.write(data[at : at + (1 << 18)])
                except OSError:
                    return
                if large:
                    hub.served += min(1 << 18, len(data) - at)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
