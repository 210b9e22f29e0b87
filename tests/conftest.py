from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# tests run side by side, each on one core, and so do the processes that they start
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from tracking.ports import free_port

if TYPE_CHECKING:
    from scanproof.services.cluster import Cluster

#: real MR data to try the software on; lies beside the checkout where it is at hand, and is never shipped
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


# a shell starts what it runs in the background without Ctrl-C, and so would run what tests start and interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Take what was imported out of every later garbage collection: there are millions of objects."""
    import hypothesis  # noqa: F401 (it asks the collector for what is frozen below, whoever imports it)

    gc.collect()
    gc.freeze()
    if "programs" in sys.modules:
        sys.modules["programs"].serve()


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tests run side by side: each takes one core."""
    torch.set_num_threads(1)


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real MR data is not at hand: {SHARED_DATA} does not exist")
    return SHARED_DATA


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A PostgreSQL on this machine alone, whose password is found by whoever asks for it as a user would."""
    pytest.importorskip("psycopg2", reason="needs psycopg2 (the extra 'postgresql')")
    from scanproof.services.cluster import Cluster

    # where it may be entered by the user as which PostgreSQL runs
    folder = Path(tempfile.mkdtemp(prefix="scanproof-postgresql-"))
    folder.chmod(0o711)
    cluster = Cluster(folder, free_port(), options=("-F",))  # tests need not survive a power cut
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PGPASSFILE", str(cluster.passfile))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
            shutil.rmtree(folder, ignore_errors=True)
