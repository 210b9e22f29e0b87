from __future__ import annotations

import json
import subprocess
import sys
import time

from scanproof.owner import SILENCE, is_alive, this_process

TELL = "import json, sys; from scanproof.owner import this_process; print(json.dumps(this_process()), flush=True)"


def test_a_process_is_alive_until_it_ends() -> None:
    command = [sys.executable, "-c", TELL]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        owner = json.loads(process.stdout.readline())
        assert owner["pid"] == process.pid
        assert is_alive(owner, seen=0.0)
        # another process of the same number, as after a restart of a container
        assert not is_alive({**owner, "started": "earlier"}, seen=time.time())
        process.kill()
        while is_alive(owner, seen=time.time()):  # not waited for yet: a zombie
            time.sleep(0.01)
        process.wait()
    assert not is_alive(owner, seen=time.time())


def test_other_machines_are_judged_by_their_signs_of_life() -> None:
    elsewhere = {**this_process(), "host": "elsewhere"}
    assert is_alive(elsewhere, seen=time.time() - SILENCE + 60)
    assert not is_alive(elsewhere, seen=time.time() - SILENCE - 60)
    assert not is_alive(None, seen=0.0)
