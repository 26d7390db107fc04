"""`ava-detect download`: published files of AVA, into a folder laid out as the recipes expect."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from ava_detect.commands.lock import alone_in
from ava_detect.download.archives import unpack
from ava_detect.download.catalogue import ENTRIES, Entry, lists_for, select, videos_of
from ava_detect.download.fetch import DigestError, Patience, ask, digests, fetch
from ava_detect.download.ledger import Ledger, Record
from ava_eval.atomic import require_writable
from ava_eval.errors import InputError


def download(
    words: Sequence[str],
    folder: Path,
    *,
    jobs: int = 4,
    mirror: str | None = None,
    verify: bool = False,
    entries: Sequence[Entry] = ENTRIES,
    patience: Patience | None = None,
) -> str:
    """Bring what ``words`` name (see ``catalogue.select``) into ``folder``; a summary.

    Files that are there with the right sizes are left. ``verify`` reads them too: one with another
    sha256 is fetched again, and one unpacked earlier that differs from its archive fails. One that
    fails does not stop the others; at the end InputError says that some did.
    """
    chosen, videos = select(words, entries)
    _require_mirror(mirror)
    require_writable(folder / ".downloads.json")
    with alone_in(folder, "download"):
        run = _Run(folder, mirror, verify, jobs, patience or Patience())
        lists = [known.entry for known in lists_for(videos)]
        run.get(list(dict.fromkeys([*chosen, *lists])))
        run.get(_videos(videos, folder))
    if run.failures:
        raise InputError(
            f"{run.summary()}; the reasons stand above, the same command goes on from here"
        )
    return run.summary()


def list_files(
    words: Sequence[str],
    folder: Path,
    *,
    mirror: str | None = None,
    entries: Sequence[Entry] = ENTRIES,
) -> str:
    """What ``download`` would fetch: address, place and size where known. Fetches nothing."""
    chosen, videos = select(words, entries)
    _require_mirror(mirror)
    ledger = Ledger(folder)
    unread = [known for known in lists_for(videos) if not (folder / known.entry.path).exists()]
    chosen += [*(known.entry for known in unread), *_videos(videos, folder)]
    lines = []
    for entry in dict.fromkeys(chosen):
        record = ledger.find(entry)
        size = entry.size if record is None else record.size
        told = "size unknown" if size is None else _amount(size)
        here = ", there" if record and _is_whole(folder / entry.path, record) else ""
        lines.append(f"{_mirrored(entry.url, mirror)}  {entry.path}  {told}{here}")
    for known in unread:
        lines.append(f"{_mirrored(known.folder, mirror)}/NAME  films that {known.entry.path} names")
    return "\n".join(lines)


def _videos(words: Sequence[str], folder: Path) -> list[Entry]:
    """The videos that ``words`` name, by those lists that are in ``folder``."""
    lists = lists_for(words)
    read = [known for known in lists if (folder / known.entry.path).exists()]
    found = [e for known in read for e in videos_of(known, folder / known.entry.path, words)]
    names = {name for entry in found for name in (entry.path, Path(entry.path).name)}
    strangers = [word for word in words if "." in word and word not in names]
    if strangers and len(read) == len(lists):
        places = " and ".join(str(folder / known.entry.path) for known in lists)
        raise InputError(f"WHAT: {strangers[0]} is no video of AVA; {places} name them all")
    return found


class _StoppedError(Exception):
    """The user has interrupted; ends what the other threads do."""


class _Run:
    """The downloads of one command."""

    def __init__(
        self, folder: Path, mirror: str | None, verify: bool, jobs: int, patience: Patience
    ) -> None:
        from ava_detect.engine.logs import StatusLine  # imports torch, which --list can do without

        self.folder = folder
        self.mirror = mirror
        self.verify = verify
        self.jobs = jobs
        self.line = StatusLine()
        self.failures: list[str] = []
        self._ledger = Ledger(folder)
        self._stop = threading.Event()
        self._patience = replace(patience, sleep=self._pause)
        self._downloaded = self._there = self._planned = self._size = 0
        self._lock = threading.Lock()
        self._came = 0  # bytes, over the network
        self._start = time.perf_counter()

    def get(self, entries: Sequence[Entry]) -> None:
        """Bring ``entries``, several at once."""
        self._planned += len(entries)
        with ThreadPoolExecutor(self.jobs) as pool:
            waiting = {pool.submit(self._bring, entry): entry for entry in entries}
            try:
                while waiting:
                    done, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._note(waiting.pop(future), future)
                    if self.line.due():
                        self.line.show(self._status())
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            finally:
                self.line.close()

    def summary(self) -> str:
        """How many files ended in which way."""
        return (
            f"{self._planned} files ({_amount(self._size)}): {self._downloaded} downloaded,"
            f" {self._there} already there, {len(self.failures)} failed"
        )

    def _note(self, entry: Entry, future: Future[bool]) -> None:
        path = self.folder / entry.path
        try:
            downloaded = future.result()
        except (InputError, OSError) as error:
            url = _mirrored(entry.url, self.mirror)
            reason = str(error).removeprefix(f"{url}: ")
            self.failures.append(url)
            self.line.note(f"failed       {url}: {reason}")
            return
        size = path.stat().st_size
        self._size += size
        self._downloaded += downloaded
        self._there += not downloaded
        if downloaded:
            self.line.note(f"downloaded   {path} ({_amount(size)})")

    def _status(self) -> str:
        ended = self._downloaded + self._there + len(self.failures)
        rate = self._came / (time.perf_counter() - self._start)
        return f"{ended}/{self._planned} files, {_amount(self._came)}, {_amount(rate)}/s"

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _StoppedError

    def _progress(self, count: int) -> None:
        if self._stop.is_set():
            raise _StoppedError
        with self._lock:
            self._came += count

    def _bring(self, entry: Entry) -> bool:
        """Have a file whole and unpacked; whether it had to be downloaded."""
        path, record = self.folder / entry.path, self._ledger.find(entry)
        if record is not None and _is_whole(path, record, self.verify):
            downloaded, sha256 = False, record.sha256
        elif record is None and path.exists():
            downloaded, sha256 = False, self._adopt(entry)
        else:
            downloaded, sha256 = True, self._fetch(entry, record)
        for folder, pattern in entry.unpack:
            unpack(path, self.folder / folder, pattern, verify=self.verify)
        # Only now: an archive that cannot be unpacked is not to be trusted the next time.
        found = Record(entry.url, path.stat().st_size, sha256)
        if found != record:
            self._ledger.add(entry, found)
        return downloaded

    def _fetch(self, entry: Entry, record: Record | None) -> str:
        # What came the first time is what has to come again, unless the catalogue knows better.
        known = f"sha256:{record.sha256}" if record and not entry.digest else None
        try:
            return fetch(
                _mirrored(entry.url, self.mirror),
                self.folder / entry.path,
                size=entry.size,
                digest=entry.digest or known,
                patience=self._patience,
                progress=self._progress,
            )
        except DigestError as error:
            if known is None:
                raise
            raise InputError(
                f"{error}, or remove {entry.path} from {self._ledger.path} to trust the new file"
            ) from error

    def _adopt(self, entry: Entry) -> str:
        """The sha256 of a file that someone else put there, if it is the published one."""
        path, url = self.folder / entry.path, _mirrored(entry.url, self.mirror)
        origin = ask(url, self._patience)
        found, size = digests(path), path.stat().st_size
        expected = [entry.digest, origin.md5 and f"md5:{origin.md5}"]
        if size != origin.size or any(text not in found for text in expected if text):
            raise InputError(
                f"{path}: expected the published file ({origin.size} bytes), got another of {size}"
                " bytes; move it away"
            )
        return found[0].removeprefix("sha256:")


def _is_whole(path: Path, record: Record, verify: bool = False) -> bool:
    if not path.is_file() or path.stat().st_size != record.size:
        return False
    return not verify or f"sha256:{record.sha256}" in digests(path)


def _require_mirror(mirror: str | None) -> None:
    if mirror is None:
        return
    try:
        parts = urlsplit(mirror)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of a port or an address that is none
        usable = False
    if not usable or parts.query or parts.fragment or len(mirror.split()) != 1:
        raise InputError.at("--mirror", None, None, "http(s)://HOST or http(s)://HOST/PATH", mirror)


def _mirrored(url: str, mirror: str | None) -> str:
    """The address with scheme and host of the mirror, if there is one."""
    return url if mirror is None else mirror.rstrip("/") + urlsplit(url).path


def _amount(size: float) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} B"
