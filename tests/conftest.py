"""Fixtures for every package's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forks import Forks


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real AVA files and videos beside some checkouts; what needs them skips without."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def forks(_own_cache: None) -> Iterator[Forks]:
    """Processes of their own, started at once."""
    with Forks() as forks:
        yield forks


@pytest.fixture(autouse=True)
def _no_job_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "forks" in request.fixturenames:
        request.getfixturevalue("forks").end_jobs()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Indices of the tests' videos do not pile up in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
