"""Every test that takes `way` or `api` runs both ways: through the dispatch, and through Flask."""

from collections.abc import Iterator

import pytest

from tests.support.endpoints import prepare
from tests.support.harness import Api
from tests.support.servers import WAYS, serve


@pytest.fixture(params=WAYS, scope="module")
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def api(way: str) -> Iterator[Api]:
    """All calls, on an empty broker."""
    with serve(way) as api:
        yield api


@pytest.fixture(scope="module")
def prepared(way: str) -> Iterator[Api]:
    """All calls, with a subscriber: for the tests of a module that change nothing."""
    with serve(way) as api:
        prepare(api)
        yield api
