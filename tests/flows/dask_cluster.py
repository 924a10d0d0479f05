"""A real Dask cluster on this computer: a scheduler, and two workers that are processes of their own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A scheduler, and two workers that are processes of their own; one that dies is started again."""
    with running() as made:
        yield made


@contextmanager
def running(**more: Any) -> Iterator[Any]:
    import dask
    import distributed

    library: Any = distributed
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1, "logging.distributed": "critical"}),
        library.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=60, **more
        ) as made,
    ):
        yield made


def on(cluster: Any) -> str:
    """Where its scheduler is, when both workers are there (again)."""
    cluster.wait_for_workers(2, timeout=30)
    return str(cluster.scheduler_address).replace("tcp://", "dask://")
