"""What the documentation's commands find: a folder, and a server of published files."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.world import make_run, make_template


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("docs") / "mirror"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Path:
    """A folder to copy for each page."""
    folder = tmp_path_factory.mktemp("template")
    make_template(folder, mirror)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_run(folder, mirror)
    return folder


@pytest.fixture(scope="session")
def server(mirror: Path, template: Path) -> Iterator[str]:
    """The address of a server that has what is published."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(mirror))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
