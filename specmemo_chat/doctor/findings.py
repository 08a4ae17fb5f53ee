"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# note: it works, within a limit that the user may want to know. broken: something that should work does not.
Status = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `remedy` is empty where nothing is to be done."""

    name: str
    status: Status
    detail: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        values = {"name": self.name, "status": self.status, "detail": self.detail}
        return values | ({"remedy": self.remedy} if self.remedy else {})
