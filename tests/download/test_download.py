"""Downloads from a server that misbehaves; it listens on this machine only."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.server
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email.message import Message
from pathlib import Path

import pytest

from ava_detect.cli import main
from ava_detect.commands.download import download, list_files
from ava_detect.download.archives import unpack
from ava_detect.download.catalogue import ENTRIES, GROUPS, VIDEO_LISTS, Entry, read_names, select
from ava_detect.download.fetch import DigestError, Patience, fetch, published_md5
from ava_eval.errors import InputError
from tests.held import held

BODY = bytes(range(256)) * 2000  # 512,000 bytes
AGAIN = "; the reasons stand above, the same command goes on from here"


@dataclass
class Published:
    """A file of the server; ``steps`` says how its next requests go wrong, one each."""

    body: bytes = BODY
    etag: str = '"one"'
    ranges: bool = True
    length: int | None = None  # a lie about the size
    pause: float = 0.0  # seconds before each piece
    headers: dict[str, str] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)


class Server:
    def __init__(self) -> None:
        self.files: dict[str, Published] = {}
        self.served: Counter[str] = Counter()  # bytes of bodies
        self.asked: list[tuple[str, str]] = []  # (method, Range)
        self.most_at_once = self.at_once = 0
        self.lock = threading.Lock()
        handler = type("Handler", (Handler,), {"server_of_test": self})
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def publish(self, path: str, body: bytes = BODY, **facts: object) -> Entry:
        self.files[f"/{path}"] = Published(body, **facts)  # type: ignore[arg-type]
        return Entry(f"{self.url}/{path}", path, "things")


class Handler(http.server.BaseHTTPRequestHandler):
    server_of_test: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server = self.server_of_test
        server.asked.append((self.command, self.headers.get("Range", "")))
        file = server.files.get(self.path)
        step = file.steps.pop(0) if file and file.steps else ""
        if file is None or step.isdecimal():
            self.send_response(int(step) if step else 404)
            for name, value in file.headers.items() if file else ():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if step.startswith("to "):
            self.send_response(302)
            self.send_header("Location", step.removeprefix("to "))
            self.end_headers()
            return
        with server.lock:
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        self._send(server, file, step)
        with server.lock:
            server.at_once -= 1

    def _send(self, server: Server, file: Published, step: str) -> None:
        start = 0
        wanted = self.headers.get("Range", "")
        same = self.headers.get("If-Range") == file.etag or step == "overlooks If-Range"
        if wanted and file.ranges and same:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            total = len(file.body) if file.length is None else file.length
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        else:
            self.send_response(200)
        length = (len(file.body) if file.length is None else file.length) - start
        for name, value in {"ETag": file.etag, **file.headers}.items():
            self.send_header(name, value)
        body = file.body[start:]
        if step.startswith("chunked"):
            self.send_header("Transfer-Encoding", "chunked")
            end = b"0\r\n\r\n" if step == "chunked" else b""
            size = -5 if step == "chunked backwards" else len(body)
            body = b"%x\r\n%s\r\n%s" % (size, body, end)
        elif step != "no length":
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return
        if step.startswith("break"):
            body = body[: int(step.split()[1])]
        for at in range(0, len(body), 50_000):
            time.sleep(file.pause)
            try:
                self.wfile.write(body[at : at + 50_000])
            except OSError:  # the client was killed
                return
            server.served[self.path] += len(body[at : at + 50_000])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


class Sleeper:
    """A clock that only notes what it is asked for."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def patience(self) -> Patience:
        return Patience(attempts=3, timeout=5, sleep=self)


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


QUICK = Patience(attempts=3, first_pause=0.001, timeout=5)


def md5_header(body: bytes) -> dict[str, str]:
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    return {"x-goog-hash": f"crc32c=AAAAAA==,md5={digest}"}


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob(".*part*"))


# One file


def test_broken_connections_go_on_where_they_broke(
    server: Server, sleeper: Sleeper, tmp_path: Path
) -> None:
    entry = server.publish("film.mkv", steps=["break 200000", "break 200000"])
    sha256 = fetch(entry.url, tmp_path / "film.mkv", patience=sleeper.patience())
    assert (tmp_path / "film.mkv").read_bytes() == BODY
    assert sha256 == hashlib.sha256(BODY).hexdigest()
    assert server.served["/film.mkv"] == len(BODY)
    assert [wanted for _, wanted in server.asked] == ["", "bytes=200000-", "bytes=400000-"]
    assert sleeper.pauses == [1, 1]  # both attempts got further
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("facts", [{"ranges": False}, {"etag": 'W/"weak"'}, {"etag": ""}])
def test_a_server_that_cannot_go_on_starts_again(
    server: Server, tmp_path: Path, facts: dict
) -> None:
    entry = server.publish("film.mkv", steps=["break 200000"], **facts)
    fetch(entry.url, tmp_path / "film.mkv", patience=QUICK)
    assert (tmp_path / "film.mkv").read_bytes() == BODY
    assert server.served["/film.mkv"] == len(BODY) + 200_000


@pytest.mark.parametrize("steps", [[], ["overlooks If-Range"] * 3])
def test_a_file_that_changed_starts_again(server: Server, tmp_path: Path, steps: list[str]) -> None:
    entry = server.publish("film.mkv", steps=["break 200000", "404"])
    with pytest.raises(InputError, match="404"):
        fetch(entry.url, tmp_path / "film.mkv", patience=QUICK)
    assert leftovers(tmp_path) == [".film.mkv.part", ".film.mkv.part.json"]
    changed = BODY[::-1]
    server.publish("film.mkv", changed, etag='"two"', steps=steps)
    fetch(entry.url, tmp_path / "film.mkv", patience=QUICK)
    assert (tmp_path / "film.mkv").read_bytes() == changed


ELSEWHERE = json.dumps({"url": "http://a/film.mkv", "validator": '"one"', "size": len(BODY)})
WORDS = json.dumps({"url": "u", "validator": '"one"', "size": "many"})
DEEP = "[" * 200_000


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": 1}', ELSEWHERE, WORDS, DEEP, None])
def test_a_part_of_unknown_origin_is_not_used(
    server: Server, tmp_path: Path, note: str | None
) -> None:
    entry = server.publish("film.mkv")
    (tmp_path / ".film.mkv.part").write_bytes(b"rubbish")
    if note is not None:
        (tmp_path / ".film.mkv.part.json").write_text(note)
    fetch(entry.url, tmp_path / "film.mkv", patience=QUICK)
    assert (tmp_path / "film.mkv").read_bytes() == BODY
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "facts",
    [
        *({"validator": value} for value in ("a\r\nHost: b", "a\n", ["a"], "€", "é", 1, None)),
        *({"size": 512_000.0}, {"size": "many"}, {"md5": ["a"]}, {"more": 1}),
    ],
)
def test_a_note_that_cannot_be_used(server: Server, tmp_path: Path, facts: dict) -> None:
    entry = server.publish("film.mkv")
    note = {"url": entry.url, "validator": '"one"', "size": len(BODY), **facts}
    (tmp_path / ".film.mkv.part").write_bytes(b"rubbish")
    (tmp_path / ".film.mkv.part.json").write_text(json.dumps(note))
    fetch(entry.url, tmp_path / "film.mkv", patience=QUICK)
    assert server.asked == [("GET", "")]
    assert (tmp_path / "film.mkv").read_bytes() == BODY
    assert leftovers(tmp_path) == []


def test_an_etag_that_cannot_be_sent_back(server: Server, tmp_path: Path) -> None:
    entry = server.publish("film.mkv", etag='"é"', steps=["break 200000"])
    fetch(entry.url, tmp_path / "film.mkv", patience=QUICK)
    assert server.asked == [("GET", ""), ("GET", "")]


def test_a_length_of_many_digits(server: Server, tmp_path: Path) -> None:
    entry = server.publish("film.mkv", headers={"Content-Length": "9" * 5000}, steps=["no length"])
    with pytest.raises(InputError, match="tell the size"):
        fetch(entry.url, tmp_path / "film.mkv", patience=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_length(server: Server, tmp_path: Path) -> None:
    steps = ["chunked without its end", "chunked backwards", "chunked", "no length"]
    entry = server.publish("film.mkv", steps=steps)
    fetch(entry.url, tmp_path / "film.mkv", patience=QUICK)
    assert (tmp_path / "film.mkv").read_bytes() == BODY
    assert [wanted for _, wanted in server.asked] == ["", "", ""]
    with pytest.raises(InputError, match="tell the size"):
        fetch(entry.url, tmp_path / "another.mkv", patience=QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]


def test_a_busy_server_is_waited_for(server: Server, sleeper: Sleeper, tmp_path: Path) -> None:
    headers = {"Retry-After": "7"}
    entry = server.publish("film.mkv", steps=["429", "503"], headers=headers)
    fetch(entry.url, tmp_path / "film.mkv", patience=sleeper.patience())
    assert sleeper.pauses == [7, 7]


def test_pauses_grow_and_end(server: Server, sleeper: Sleeper, tmp_path: Path) -> None:
    entry = server.publish("film.mkv", steps=["503"] * 9)
    with pytest.raises(InputError, match=r"503 .*3 times in a row"):
        fetch(entry.url, tmp_path / "film.mkv", patience=sleeper.patience())
    assert sleeper.pauses == [1, 2]


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        *(("99999", 600), ("9" * 5000, 600), ("Mon, 01 Jan 2001 00:00:00 GMT", 0)),
        *(("soon", 1), ("-5", 1), (f"Mon, 01 Jan {'9' * 30} 00:00:00 GMT", 1)),
    ],
)
def test_what_a_server_may_ask_for(
    server: Server, sleeper: Sleeper, tmp_path: Path, asked: str, waited: float
) -> None:
    entry = server.publish("film.mkv", steps=["503"], headers={"Retry-After": asked})
    fetch(entry.url, tmp_path / "film.mkv", patience=sleeper.patience())
    assert sleeper.pauses == [waited]


@pytest.mark.parametrize("ranges", [True, False])
def test_too_long_a_length_is_no_file(server: Server, tmp_path: Path, ranges: bool) -> None:
    entry = server.publish("film.mkv", length=len(BODY) + 10, ranges=ranges)
    with pytest.raises(InputError, match="512000 of 512010 bytes"):
        fetch(entry.url, tmp_path / "film.mkv", patience=QUICK)
    assert not (tmp_path / "film.mkv").exists()


def test_too_short_a_length_is_no_file(server: Server, tmp_path: Path) -> None:
    entry = server.publish("film.mkv", length=1000)
    with pytest.raises(DigestError, match="expected 512000 bytes, got 1000 bytes"):
        fetch(entry.url, tmp_path / "film.mkv", size=len(BODY), patience=QUICK)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("kind", ["sha256", "md5", "x-goog-hash"])
def test_a_wrong_digest_deletes_what_came(server: Server, tmp_path: Path, kind: str) -> None:
    headers = md5_header(b"another") if kind == "x-goog-hash" else {}
    entry = server.publish("film.mkv", headers=headers)
    wrong = None if headers else f"{kind}:{hashlib.new(kind, b'another').hexdigest()}"
    with pytest.raises(DigestError, match="what came is deleted"):
        fetch(entry.url, tmp_path / "film.mkv", digest=wrong, patience=QUICK)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["sha256", "md5", "x-goog-hash"])
def test_a_right_digest(server: Server, tmp_path: Path, kind: str) -> None:
    headers = md5_header(BODY) if kind == "x-goog-hash" else {}
    entry = server.publish("film.mkv", headers=headers)
    right = None if headers else f"{kind}:{hashlib.new(kind, BODY).hexdigest()}"
    fetch(entry.url, tmp_path / "film.mkv", digest=right, patience=QUICK)
    assert (tmp_path / "film.mkv").read_bytes() == BODY


MD5 = hashlib.md5(BODY).hexdigest()


@pytest.mark.parametrize(
    ("host", "headers", "expected"),
    [
        ("s3.amazonaws.com", {"ETag": f'"{MD5}"'}, MD5),
        ("s3.amazonaws.com", {"ETag": f'"{MD5}-12"'}, None),
        ("s3.amazonaws.com", {"ETag": f'W/"{MD5}"'}, None),
        (
            "s3.amazonaws.com",
            {"ETag": f'"{MD5}"', "x-amz-server-side-encryption": "aws:kms"},
            None,
        ),
        (
            "s3.amazonaws.com",
            {"ETag": f'"{MD5}"', "x-amz-server-side-encryption": "AES256"},
            MD5,
        ),
        ("amazonaws.com.evil.org", {"ETag": f'"{MD5}"'}, None),
        ("evilamazonaws.com", {"ETag": f'"{MD5}"'}, None),
        ("storage.googleapis.com", md5_header(BODY), MD5),
        ("storage.googleapis.com", {"x-goog-hash": "md5=?"}, None),
        ("storage.googleapis.com", {"x-goog-hash": "md5=éé"}, None),
        (
            "storage.googleapis.com",
            {**md5_header(BODY), "x-goog-stored-content-encoding": "gzip"},
            None,
        ),
        ("storage.googleapis.com", {}, None),
    ],
)
def test_who_publishes_an_md5(host: str, headers: dict[str, str], expected: str | None) -> None:
    message = Message()
    for name, value in headers.items():
        message[name] = value
    assert published_md5(host, message) == expected


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "/etc/passwd"])
def test_only_http(server: Server, tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match=r"http:// or https://"):
        fetch(url, tmp_path / "a", patience=QUICK)
    if "://" in url:
        entry = server.publish("film.mkv", steps=[f"to {url}"])
        with pytest.raises(InputError, match=r"http:// or https://|not allowed"):
            fetch(entry.url, tmp_path / "a", patience=QUICK)


@pytest.mark.parametrize("url", ["http://[::1", f"http://{'a' * 70}.org/"])
def test_a_redirect_to_no_address(server: Server, tmp_path: Path, url: str) -> None:
    entry = server.publish("film.mkv", steps=[f"to {url}"])
    with pytest.raises(InputError, match=r"film\.mkv: the server leads to an address that is none"):
        fetch(entry.url, tmp_path / "film.mkv", patience=QUICK)


def test_a_redirect_is_followed(server: Server, tmp_path: Path) -> None:
    server.publish("moved.mkv")
    entry = server.publish("film.mkv", steps=[f"to {server.url}/moved.mkv"])
    fetch(entry.url, tmp_path / "film.mkv", patience=QUICK)
    assert (tmp_path / "film.mkv").read_bytes() == BODY


def test_nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(InputError, match="no connection"):
        fetch("http://127.0.0.1:9/a", tmp_path / "a", patience=QUICK)


def test_a_killed_download_transfers_only_the_rest(server: Server, tmp_path: Path) -> None:
    target, part = tmp_path / "film.mkv", tmp_path / ".film.mkv.part"
    entry = server.publish("film.mkv", pause=0.05)
    code = (
        "import sys; from pathlib import Path; from ava_detect.download.fetch import fetch;"
        "fetch(sys.argv[1], Path(sys.argv[2]))"
    )
    child = subprocess.Popen([sys.executable, "-c", code, entry.url, str(target)])
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size > 150_000) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not target.exists()
    here = part.stat().st_size
    assert 150_000 < here < len(BODY)
    time.sleep(0.15)  # the server notices
    server.served.clear()
    fetch(entry.url, target, patience=QUICK)
    assert server.served["/film.mkv"] == len(BODY) - here
    assert target.read_bytes() == BODY
    assert leftovers(tmp_path) == []


def test_killed_between_the_last_byte_and_the_rename(server: Server, tmp_path: Path) -> None:
    entry = server.publish("film.mkv")
    note = {"url": entry.url, "validator": '"one"', "size": len(BODY), "md5": MD5}
    (tmp_path / ".film.mkv.part").write_bytes(BODY)
    (tmp_path / ".film.mkv.part.json").write_text(json.dumps(note))
    fetch(entry.url, tmp_path / "film.mkv", patience=QUICK)
    assert server.asked == []
    assert (tmp_path / "film.mkv").read_bytes() == BODY


# The command


def run(server: Server, folder: Path, entries: list[Entry], **options: object) -> str:
    return download(["things"], folder, entries=entries, patience=QUICK, **options)  # type: ignore[arg-type]


def test_many_files_at_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    bodies = {f"videos/{i}.mkv": os.urandom(1000 + i) for i in range(60)}
    entries = [server.publish(path, body, pause=0.01) for path, body in bodies.items()]
    entries[0] = server.publish("videos/0.mkv", bodies["videos/0.mkv"], steps=["break 500"])
    summary = run(server, tmp_path, entries, jobs=6)
    assert summary == "60 files (61.8 kB): 60 downloaded, 0 already there, 0 failed"
    assert 2 <= server.most_at_once <= 6
    for path, body in bodies.items():
        assert (tmp_path / path).read_bytes() == body
    assert capsys.readouterr().err.count("downloaded  ") == 60
    server.asked.clear()
    assert "0 downloaded, 60 already there" in run(server, tmp_path, entries)
    assert server.asked == []


def test_one_failure_stops_nothing(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    entries = [server.publish(f"{i}.mkv") for i in range(5)]
    del server.files["/2.mkv"]
    with pytest.raises(InputError) as caught:
        run(server, tmp_path, entries)
    told = "5 files (2.0 MB): 4 downloaded, 0 already there, 1 failed"
    assert str(caught.value) == told + AGAIN
    (failed,) = [line for line in capsys.readouterr().err.splitlines() if "failed " in line]
    assert f"{server.url}/2.mkv" in failed
    assert "404" in failed
    assert "--mirror" in failed


def test_what_is_damaged_is_fetched_again(server: Server, tmp_path: Path) -> None:
    entry = server.publish("film.mkv")
    target = tmp_path / "film.mkv"
    run(server, tmp_path, [entry])
    target.write_bytes(BODY[:-1])
    assert "1 downloaded" in run(server, tmp_path, [entry])
    target.write_bytes(BODY[::-1])  # the size is right
    assert "0 downloaded, 1 already there" in run(server, tmp_path, [entry])
    assert "1 downloaded" in run(server, tmp_path, [entry], verify=True)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("pack", ["zipped", "tarred"])
def test_verify_reads_what_was_unpacked(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture, pack: str
) -> None:
    packed = globals()[pack](tmp_path / "packed", {"a.csv": b"1" * 200_000, "b.csv": b"2"})
    entry = replace(server.publish("a.zip", packed.read_bytes()), unpack=(("out", "*"),))
    run(server, tmp_path, [entry])
    assert "1 already there" in run(server, tmp_path, [entry], verify=True)
    damaged = tmp_path / "out" / "a.csv"
    damaged.write_bytes(b"1" * 199_999 + b"x")
    assert "1 already there" in run(server, tmp_path, [entry])
    with pytest.raises(InputError, match="1 failed"):
        run(server, tmp_path, [entry], verify=True)
    assert f"{damaged}: differs from the one in {tmp_path / 'a.zip'}" in capsys.readouterr().err
    damaged.rename(tmp_path / "away")
    assert "1 already there" in run(server, tmp_path, [entry], verify=True)
    assert damaged.read_bytes() == b"1" * 200_000


def test_another_file_than_the_first_time_is_not_trusted(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    entry = server.publish("film.mkv")
    run(server, tmp_path, [entry])
    (tmp_path / "film.mkv").unlink()
    server.publish("film.mkv", BODY[::-1])
    with pytest.raises(InputError, match="1 failed"):
        run(server, tmp_path, [entry])
    assert not (tmp_path / "film.mkv").exists()
    assert "remove film.mkv from" in capsys.readouterr().err


def test_a_file_put_there_by_hand(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "film.mkv"
    for own, headers in ((b"mine", {}), (BODY[::-1], md5_header(BODY))):
        entry = server.publish("film.mkv", headers=headers)
        target.write_bytes(own)
        with pytest.raises(InputError, match="1 failed"):
            run(server, tmp_path, [entry])
        assert target.read_bytes() == own
    target.write_bytes(BODY)
    assert "1 already there" in run(server, tmp_path, [entry])
    assert server.served["/film.mkv"] == 0


def test_two_commands_do_not_meet(server: Server, tmp_path: Path) -> None:
    entry = server.publish("film.mkv")
    with (
        held(tmp_path / ".download.lock"),
        pytest.raises(InputError, match="another `ava-detect download`"),
    ):
        run(server, tmp_path, [entry])
    run(server, tmp_path, [entry])
    assert (tmp_path / "film.mkv").read_bytes() == BODY


WRONG_TYPES = [
    {"url": 1, "size": 1, "sha256": "a"},
    {"url": "u", "size": "1", "sha256": "a"},
    {"url": "u", "size": 1, "sha256": ["a"]},
]


@pytest.mark.parametrize(
    "text",
    [
        *("[]", "{", '{"a": 1}', '{"a": {"url": 1}}', DEEP),
        *(json.dumps({"film.mkv": facts}) for facts in WRONG_TYPES),
    ],
)
def test_a_broken_ledger(server: Server, tmp_path: Path, text: str) -> None:
    (tmp_path / ".downloads.json").write_text(text)
    with pytest.raises(InputError, match=r"\.downloads\.json"):
        run(server, tmp_path, [server.publish("film.mkv")])


# Archives


def zipped(path: Path, members: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, body)
    return path


def tarred(path: Path, members: dict[str, bytes], **facts: object) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            for key, value in facts.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(body))
    return path


def tarred_plainly(path: Path, members: dict[str, bytes]) -> Path:
    path.write_bytes(gzip.decompress(tarred(path, members).read_bytes()))
    return path


EVIL = ["../evil", "a/../../evil", "/evil", "a\\..\\evil", "c:evil", "ev\x1bil"]


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str, pack) -> None:
    archive = pack(tmp_path / "a.zip", {"good": b"1", name: b"2"})
    with pytest.raises(InputError, match="refused"):
        unpack(archive, tmp_path / "deep" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    archive = tarred(tmp_path / "a.tar.gz", {"x": b""}, type=kind, linkname="/etc/passwd")
    with pytest.raises(InputError, match="a link or a device"):
        unpack(archive, tmp_path / "out")
    linked = zipped(tmp_path / "a.zip", {"x": b"/etc/passwd"}, mode=0o120777)
    with pytest.raises(InputError, match="a link or a device"):
        unpack(linked, tmp_path / "out")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x", "1")
        archive.writestr("./x", "2")
    with pytest.raises(InputError, match="twice"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("names", [["a", "a/b"], ["top/a/b/c", "top/x", "top/a"]])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_file_in_the_place_of_a_folder(tmp_path: Path, pack, names: list[str]) -> None:
    archive = pack(tmp_path / "archive", dict.fromkeys(names, b"1"))
    with pytest.raises(InputError, match="refused: a file has the name of its folder") as caught:
        unpack(archive, tmp_path / "out")
    assert str(caught.value).startswith(f"{archive}: ")
    assert not (tmp_path / "out").exists()
    archive = pack(tmp_path / "another", {"first": b"1", "a/b": b"1"})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_bytes(b"my own")
    with pytest.raises(InputError, match=r"out/a: expected a folder, for a/b of .*another"):
        unpack(archive, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_unpacking(tmp_path: Path, pack) -> None:
    archive, out = pack(tmp_path / "a", {"top/a.csv": b"1", "top/in/b.csv": b"2"}), tmp_path / "out"
    assert unpack(archive, out) == 2
    assert (out / "in" / "b.csv").read_bytes() == b"2"
    assert unpack(archive, out) == 0
    (out / "a.csv").unlink()
    assert unpack(archive, out) == 1
    (out / "a.csv").write_bytes(b"my own")
    with pytest.raises(InputError, match="move it away"):
        unpack(archive, out)
    assert (out / "a.csv").read_bytes() == b"my own"
    assert unpack(archive, tmp_path / "some", "a.csv") == 1
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["a.csv"]


@pytest.mark.parametrize("pack", [zipped, tarred, tarred_plainly])
def test_a_broken_archive_is_one_error(tmp_path: Path, pack) -> None:
    whole = pack(tmp_path / "a", {"a.csv": os.urandom(500), "b.csv": b"2" * 500}).read_bytes()
    for at in range(0, min(len(whole), 2048), 32):  # a plain tar has only padding behind that
        (tmp_path / "a").write_bytes(whole[:at])
        with pytest.raises(InputError, match="whole zip or tar") as caught:
            unpack(tmp_path / "a", tmp_path / "out")
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("out/*"))


# The catalogue, and the command line


def test_the_layout_is_that_of_the_recipes(tmp_path: Path, server: Server) -> None:
    archives = {"annotations/ava_v2.2.zip": zipped(tmp_path / "z", {"ava_train_v2.2.csv": b"8"})}
    archives["Datasets/ava_kinetics_v1_0.tar.gz"] = tarred(
        tmp_path / "t",
        {"k/ava_train_v2.2.csv": b"7 columns", "k/ava_test_v2.2.csv": b"2", "k/README.txt": b""},
    )
    for entry in ENTRIES[:2]:
        (found,) = [path for path in archives if entry.url.endswith(path)]
        server.publish(entry.url.split("/", 3)[3], archives[found].read_bytes())
    words = [entry.path for entry in ENTRIES[:2]]
    download(words, tmp_path / "ava", mirror=server.url, patience=QUICK)
    annotations = tmp_path / "ava" / "annotations"
    assert (annotations / "ava_train_v2.2.csv").read_bytes() == b"8"
    assert (annotations / "ava_test_v2.2.csv").read_bytes() == b"2"
    assert (annotations / "ava_kinetics_v1_0" / "ava_train_v2.2.csv").read_bytes() == b"7 columns"


def test_a_broken_archive_is_not_trusted_the_next_time(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    whole = zipped(tmp_path / "z", {"a.csv": b"1", "b.csv": b"2"}).read_bytes()
    entry = replace(server.publish("a.zip", whole[:-9]), unpack=(("out", "*"),))
    with pytest.raises(InputError, match="1 failed"):
        run(server, tmp_path, [entry])
    assert "remove it and fetch it again" in capsys.readouterr().err
    (tmp_path / "a.zip").unlink()
    server.publish("a.zip", whole)
    assert "1 downloaded" in run(server, tmp_path, [entry])
    (tmp_path / "out" / "b.csv").unlink()
    assert "1 already there" in run(server, tmp_path, [entry])
    assert (tmp_path / "out" / "b.csv").read_bytes() == b"2"


def test_every_entry_is_plain() -> None:
    paths = [entry.path for entry in ENTRIES]
    assert len(paths) == len(set(paths))
    for entry in ENTRIES:
        assert entry.url.startswith("https://")
        assert entry.group in GROUPS
        assert entry.path.split("/")[0] in ("annotations", "archives", "boxes", "weights")
    groups = ["annotations", "boxes", "weights"]
    assert {e.path for e in select(groups)[0]} == set(paths)


@pytest.mark.parametrize("word", ["everything", "C2D_8x8_R50.pkl", "../x.mkv", "videos/a/b.mkv"])
def test_words_that_name_nothing(word: str) -> None:
    with pytest.raises(InputError, match=word):
        select([word])


HOSTILE = [
    "../evil.mkv",
    "/evil.mkv",
    "a/b.mkv",
    "a.mkv/..",
    "a.exe",
    "a b.mkv",
    ".mkv",
    "..",
    "é.mkv",
]


@pytest.mark.parametrize("name", [*HOSTILE, "a.mkv\x00", "a.mkv?x=.mkv", "http://evil/a.mkv"])
def test_hostile_names_of_videos(tmp_path: Path, name: str) -> None:
    (tmp_path / "list.txt").write_text(f"good.mkv\n{name}\n")
    with pytest.raises(InputError, match=r"list\.txt:2: expected a plain name"):
        read_names(tmp_path / "list.txt")


def path_of(url: str) -> str:
    return url.split("/", 3)[3]


def publish_videos(server: Server, names: str = "-a_1.mkv\r\nb2.webm\n") -> None:
    trainval, test = VIDEO_LISTS
    server.publish(path_of(trainval.entry.url), names.encode())
    server.publish(path_of(test.entry.url), b"c3.mp4\n")
    for place in (f"{trainval.folder}/-a_1.mkv", f"{trainval.folder}/b2.webm"):
        server.publish(path_of(place))
    server.publish(path_of(f"{test.folder}/c3.mp4"))


def test_videos_by_their_lists(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    publish_videos(server)
    words = ["-o", str(tmp_path / "ava"), "--mirror", server.url]
    assert main(["download", "videos/-a_1.mkv", *words]) == 0
    assert capsys.readouterr().out.startswith("3 files (512.0 kB): 3 downloaded")
    assert main(["download", "videos", *words, "--jobs", "2"]) == 0
    assert "5 files (1.5 MB): 2 downloaded, 3 already there, 0 failed" in capsys.readouterr().out
    found = sorted(path.name for path in (tmp_path / "ava" / "videos").iterdir())
    assert found == ["-a_1.mkv", "b2.webm", "c3.mp4"]


def test_a_hostile_list_of_videos(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    publish_videos(server, "../../evil.mkv\n")
    words = ["-o", str(tmp_path / "ava"), "--mirror", server.url]
    assert main(["download", "videos", *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("error: ") for line in lines].index(True) == len(lines) - 1
    assert "ava_file_names_trainval_v2.1.txt:1" in lines[-1]
    assert not list(tmp_path.rglob("*.mkv"))


@pytest.mark.parametrize("words", [["weights"], ["videos/nobody.mkv"], ["weight"], ["boxes"]])
def test_failures_end_in_one_error_line(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture, words: list[str]
) -> None:
    publish_videos(server)
    options = ["-o", str(tmp_path / "ava"), "--mirror", server.url]
    assert main(["download", *words, *options]) == 2
    taken = capsys.readouterr()
    lines = taken.err.splitlines()
    assert [line.startswith("error: ") for line in lines].index(True) == len(lines) - 1
    assert taken.out == ""


@pytest.mark.parametrize(
    "mirror",
    [
        "file:///x",
        "nonsense",
        "http://",
        "http://a/?b=c",
        "",
        "http://[",
        "http://a:b",
        "http://a b",
    ],
)
def test_a_mirror_must_be_an_address(
    tmp_path: Path, capsys: pytest.CaptureFixture, mirror: str
) -> None:
    words = ["download", "boxes", "-o", str(tmp_path / "ava"), "--mirror", mirror]
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("error: --mirror")
    assert not (tmp_path / "ava").exists()


def test_list_fetches_nothing(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    publish_videos(server)
    options = ["-o", str(tmp_path / "ava"), "--mirror", server.url]
    assert main(["download", "videos-test", "boxes", "--list", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert server.asked == []
    assert not (tmp_path / "ava").exists()
    assert len(lines) == 6
    assert lines[-1].startswith(f"{server.url}/ava-dataset/test/NAME")
    assert main(["download", "videos-test", *options]) == 0
    told = list_files(["videos-test"], tmp_path / "ava").splitlines()
    assert told == [
        "https://s3.amazonaws.com/ava-dataset/test/c3.mp4  videos/c3.mp4  512.0 kB, there"
    ]


def test_list_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ava_detect.commands.download import list_files;"
        "list_files(['boxes'], Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_help_names_the_groups(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["download", "--help"])
    told = capsys.readouterr().out
    assert all(group in told for group in GROUPS)


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["download", "boxes", "-o", str(tmp_path / "file" / "ava")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path / 'file'}")
