"""Every test that takes `way` or `api` runs each way: by the dispatch, by Flask, and through a server of a cluster."""

from collections.abc import Iterator

import pytest

from tests.support.endpoints import prepare
from tests.support.harness import Api
from tests.support.servers import MEMBER, WAYS, serve


@pytest.fixture(params=[*WAYS, MEMBER], scope="module")
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=WAYS, scope="module")
def own_way(request: pytest.FixtureRequest) -> str:
    """A way of one server, which may have more calls than the table."""
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
