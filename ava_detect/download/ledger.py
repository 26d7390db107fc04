"""What a folder holds of downloads, and what it was the first time."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from ava_detect.download.catalogue import Entry
from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError


@dataclass(frozen=True)
class Record:
    """A file that was fetched; what it was the first time is what it has to be."""

    url: str
    size: int
    sha256: str


class Ledger:
    """What is in the data folder, in ``.downloads.json``; safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".downloads.json"
        self._lock = threading.Lock()
        try:
            files = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
            self._records = {path: _record(**facts) for path, facts in files.items()}
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{self.path}: expected a record of downloads; remove it") from error

    def find(self, entry: Entry) -> Record | None:
        record = self._records.get(entry.path)
        return record if record and record.url == entry.url else None

    def add(self, entry: Entry, record: Record) -> None:
        with self._lock, atomic_path(self.path) as temporary:
            self._records[entry.path] = record
            files = {path: asdict(self._records[path]) for path in sorted(self._records)}
            temporary.write_text(json.dumps(files, indent=1) + "\n", encoding="utf-8")


def _record(url: object, size: object, sha256: object) -> Record:
    if isinstance(url, str) and isinstance(size, int) and isinstance(sha256, str):
        return Record(url, size, sha256)
    raise TypeError("a field of another type")
