"""What every test shares: Hypothesis without deadlines (and without dice in CI), and the way to the large test data."""

import functools
import os
import shutil
from pathlib import Path

import pytest
import typer.main
import typer.testing
from hypothesis import HealthCheck, settings

# Deadlines measure the machine, not the code; a red build must be red again when it is repeated.
settings.register_profile("desk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("desk"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")

# Texts are compared in English, whatever the machine speaks; tests of the language choose theirs.
os.environ["FILESYNC_LANG"] = "en"

#: Some machines, containers above all, make it small.
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 4 << 30

# Folders of tests lie in memory where there is room: a flow syncs some hundred times, and a disk makes each of them wait. Nothing is
# lost by it: what a power cut leaves is proved by cutting before and after every sync (test_power_cut.py), not by the disk.
# Whoever wants a disk names it: PYTEST_DEBUG_TEMPROOT=/var/tmp.
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# The commands are put together once for all tests of a process, as a program does it once: four fifths of what a command cost.
# Each run puts their texts into its language again (cli/language.py).
vars(typer.testing)["_get_command"] = functools.cache(typer.main.get_command)

#: Networks of stations for tests/flows and tests/system; a real PostgreSQL; stores on both; a real sshd.
pytest_plugins = ["dask_cluster", "network", "postgres_server", "store_engines", "sshd", "quirky"]

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of large test data, which is not part of the repository: $FILESYNC_TEST_DATA or ../shared/data.

    Tests that need it are skipped, with the reason, where it is absent; a variable that names no folder is an error.
    """
    named = os.environ.get("FILESYNC_TEST_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    if named:
        pytest.fail(f"FILESYNC_TEST_DATA names no folder: {named}")
    pytest.skip(f"no test data: {folder} is absent and FILESYNC_TEST_DATA is not set")
