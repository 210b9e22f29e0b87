from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

#: real MR data to try the software on; lies beside the checkout where it is at hand, and is never shipped
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


# a shell starts what it runs in the background without Ctrl-C, and so would run what tests start and interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tests run side by side: each takes one core."""
    torch.set_num_threads(1)


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real MR data is not at hand: {SHARED_DATA} does not exist")
    return SHARED_DATA
