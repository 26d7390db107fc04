"""One file over HTTP: it goes on where it broke off, and appears whole and checked or never."""

from __future__ import annotations

import base64
import email.utils
import hashlib
import http.client
import json
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ava_eval.errors import InputError

_CHUNK = 1 << 16
_AGAIN_LATER = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Patience:
    """How long to bear a bad connection: vain attempts in a row, and seconds.

    An attempt that gets further than all before it is not vain. The pause doubles after each one
    that is, unless the server says how long to wait.
    """

    attempts: int = 6
    first_pause: float = 1.0
    longest_pause: float = 60.0
    longest_wait: float = 600.0  # that a server may ask for
    timeout: float = 30.0  # without a byte
    sleep: Callable[[float], object] = time.sleep


@dataclass(frozen=True)
class Origin:
    """What a server says of a file; ``validator`` changes when the file does, "" if not told."""

    url: str
    validator: str = ""
    size: int | None = None
    md5: str | None = None


class DigestError(InputError):
    """The bytes that came are not those that were expected; they are deleted."""


class _BrokenError(Exception):
    """An attempt failed in a way that the next one may not; ``stale``: not with the same part."""

    def __init__(self, reason: object, wait: float | None = None, stale: bool = False) -> None:
        super().__init__(str(reason))
        self.wait = wait
        self.stale = stale


def fetch(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    digest: str | None = None,
    patience: Patience | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> str:
    """Bring ``url`` to ``target``; the sha256 of the file.

    ``digest`` is ``sha256:HEX`` or ``md5:HEX``; without one, what the server publishes is checked.
    Until the file is whole it is ``.NAME.part`` in the same folder, and a later call goes on from
    there. ``progress`` gets the number of bytes of each piece; what it raises ends the call.
    """
    patience = patience or Patience()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(target)
    origin = _patiently(url, patience, lambda: _attempt(url, part, patience, progress), part.reach)
    sha256 = _check(part, origin, size, digest)
    part.path.replace(target)
    part.notes.unlink(missing_ok=True)
    return sha256


def ask(url: str, patience: Patience | None = None) -> Origin:
    """What the server says of ``url``, without the file itself."""
    patience = patience or Patience()

    def attempt() -> Origin:
        with _open(url, {}, patience, "HEAD") as response:
            return _origin(url, response)

    return _patiently(url, patience, attempt, lambda: 0)


def published_md5(host: str, headers: Message) -> str | None:
    """The md5 of the whole file in hexadecimal, where the server is known to publish one."""
    if headers.get("x-goog-stored-content-encoding", "identity") == "identity":
        hashes = ",".join(headers.get_all("x-goog-hash", [])).split(",")
        for value in (text.strip().removeprefix("md5=") for text in hashes if "md5=" in text):
            try:
                return base64.b64decode(value, validate=True).hex()
            except ValueError:  # no base64, or no ASCII
                return None
    # S3's ETag is the md5 unless the object came in pieces (ETag with "-") or is encrypted.
    keyed = "x-amz-server-side-encryption-customer-algorithm" in headers
    if keyed or headers.get("x-amz-server-side-encryption", "").startswith("aws:kms"):
        return None
    tag = headers.get("ETag", "").strip('"')
    is_s3 = host == "amazonaws.com" or host.endswith(".amazonaws.com")
    return tag if is_s3 and re.fullmatch("[0-9a-f]{32}", tag) else None


class _Part:
    """A file that is on its way, and a note of where from."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f".{target.name}.part")
        self.notes = target.with_name(f".{target.name}.part.json")

    def reach(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def origin(self, url: str) -> Origin | None:
        """Where the part is from; None if it is of no use."""
        try:
            origin = Origin(**json.loads(self.notes.read_text(encoding="utf-8")))
            fits = isinstance(origin.size, int) and self.reach() <= origin.size
        except (FileNotFoundError, ValueError, TypeError, RecursionError):  # none, or half a note
            return None
        usable = fits and _is_header_value(origin.validator) and isinstance(origin.md5, str | None)
        return origin if origin.url == url and usable else None

    def begin(self, origin: Origin) -> None:
        # The part is emptied before the note changes: a note never speaks of another's bytes.
        self.path.write_bytes(b"")
        self.notes.write_text(json.dumps(asdict(origin)), encoding="utf-8")

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)


def _patiently(
    url: str, patience: Patience, attempt: Callable[[], Origin], reach: Callable[[], int]
) -> Origin:
    vain, furthest = 0, reach()
    while True:
        try:
            return attempt()
        except _BrokenError as error:
            vain = 0 if reach() > furthest else vain + 1
            furthest = max(furthest, reach())
            if vain >= patience.attempts:
                raise InputError(
                    f"{url}: {error}, {vain} times in a row; try again later, what came is kept"
                ) from error
            pause = min(patience.first_pause * 2 ** max(vain - 1, 0), patience.longest_pause)
            patience.sleep(pause if error.wait is None else min(error.wait, patience.longest_wait))


def _attempt(url: str, part: _Part, patience: Patience, progress: Callable[[int], None]) -> Origin:
    """Add what is missing to ``part``; returns when nothing is."""
    known, offset = part.origin(url), part.reach()
    if known and offset == known.size:
        return known
    wanted = {"Range": f"bytes={offset}-", "If-Range": known.validator} if known and offset else {}
    try:
        with _open(url, wanted, patience) as response:
            origin = _origin(url, response)
            # Anything but 206 is the whole file: a first try, a changed file, or no ranges here.
            if response.status != 206:
                part.begin(origin)
            elif not (known and offset and _goes_on(response, offset, known, origin)):
                raise _BrokenError("the file changed on the server", stale=True)
            _append(response, part, progress)
    except _BrokenError as error:
        if error.stale:
            part.remove()
        raise
    if origin.size is not None and part.reach() != origin.size:
        raise _BrokenError(f"the connection ended at {part.reach()} of {origin.size} bytes")
    return origin


def _goes_on(response: Any, offset: int, known: Origin, origin: Origin) -> bool:
    """Whether a partial answer continues the part, even if the server overlooks If-Range."""
    same = (known.validator, known.size) == (origin.validator, origin.size)
    return same and response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def _append(response: Any, part: _Part, progress: Callable[[int], None]) -> None:
    with part.path.open("ab", buffering=0) as file:
        while True:
            try:
                piece = response.read(_CHUNK)
            except (OSError, http.client.HTTPException, ValueError) as error:  # a chunk of -1 bytes
                raise _BrokenError(
                    f"the connection broke: {str(error) or type(error).__name__}"
                ) from error
            if not piece:
                break
            file.write(piece)
            progress(len(piece))
        os.fsync(file)


def _origin(url: str, response: Any) -> Origin:
    headers = response.headers
    length = headers.get("Content-Length", "")
    if response.status == 206:
        length = headers.get("Content-Range", "").rpartition("/")[2]
    size = int(length) if re.fullmatch("[0-9]{1,18}", length) else None
    if size is None and not response.chunked:
        raise InputError(f"{url}: expected the server to tell the size; try another --mirror")
    tag = headers.get("ETag", "")
    validator = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
    md5 = published_md5(urlsplit(response.url).hostname or "", headers)
    return Origin(url, validator if _is_header_value(validator) else "", size, md5)


def _is_header_value(value: object) -> bool:
    """Whether ``value`` can be sent back to a server."""
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable()


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _require_http(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_http(url: str) -> None:
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"{url}: expected an address that starts with http:// or https://")


def _open(url: str, headers: dict[str, str], patience: Patience, method: str = "GET") -> Any:
    """The answer of the server, to be closed by the caller."""
    _require_http(url)
    headers = {"User-Agent": "ava-detect", "Accept-Encoding": "identity", **headers}
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        return urllib.request.build_opener(_Redirects).open(request, timeout=patience.timeout)
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"the server answers {error.code} {error.reason}"
        if error.code == 416:
            raise _BrokenError(answer, stale=True) from error
        if error.code in _AGAIN_LATER:
            raise _BrokenError(answer, _retry_after(error.headers)) from error
        raise InputError(
            f"{url}: {answer}, expected the file; it may have moved: try a --mirror that has it"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise InputError(f"{url}: {reason}; the certificate must be one you trust") from error
        raise _BrokenError(f"no connection: {str(reason) or type(reason).__name__}") from error
    except InputError:
        raise
    except ValueError as error:  # of an address that urllib cannot take apart
        raise InputError(
            f"{url}: the server leads to an address that is none: {error}; try another --mirror"
        ) from error


def _retry_after(headers: Message) -> float | None:
    """The seconds that the server asks to wait, if it does."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):  # not a date either
        return None


def _check(part: _Part, origin: Origin, size: int | None, digest: str | None) -> str:
    """The sha256 of the whole part; a part that is not what was expected is deleted."""
    found = digests(part.path)
    expected = [digest, origin.md5 and f"md5:{origin.md5}"]
    wrong = [text for text in expected if text and text not in found]
    if size not in (None, part.reach()):
        wrong.insert(0, f"{size} bytes")
    if wrong:
        got = ", ".join([f"{part.reach()} bytes", *found])
        part.remove()
        raise DigestError(
            f"{origin.url}: expected {wrong[0]}, got {got}; what came is deleted: try again"
        )
    return found[0].removeprefix("sha256:")


def digests(path: Path) -> list[str]:
    """``sha256:HEX`` and ``md5:HEX`` of a file."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            sha256.update(piece)
            md5.update(piece)
    return [f"sha256:{sha256.hexdigest()}", f"md5:{md5.hexdigest()}"]
