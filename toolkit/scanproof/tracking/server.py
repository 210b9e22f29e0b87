"""MLflow's own pages, for looking at the runs."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from scanproof.errors import ScanproofError
from scanproof.tracking.client import NO_TELEMETRY, connect
from scanproof.tracking.uri import check_uri, is_database, redact, sqlite_path
from scanproof.tracking.views import FIRST, PREFIX

#: port of MLflow's pages unless another is named
PORT = 5000


def ui_command(uri: str, *, host: str = "127.0.0.1", port: int = PORT) -> str:
    """The command line that shows the runs, for a user to paste into a shell.

    Args:
        uri: tracking URI. The pages of a server exist already, so for one the command opens them in the browser.
        host: address to listen on.
        port: port to listen on.

    Returns:
        The command, quoted for a POSIX shell. It holds the URI as it is, with a password if it has one.

    Raises:
        ScanproofError: a URI that MLflow does not accept.

    Example:
        >>> ui_command("http://tracking.example:5000")
        'python -m webbrowser http://tracking.example:5000'
        >>> ui_command("postgresql://db.example/runs").partition("mlflow server ")[2]
        '--backend-store-uri postgresql://db.example/runs --host 127.0.0.1 --port 5000 --workers 1'
    """
    uri = check_uri(uri)
    if not is_database(uri):
        return shlex.join(["python", "-m", "webbrowser", uri])
    beside = shutil.which("mlflow", path=str(Path(sys.executable).parent))
    program = ["mlflow"] if beside and beside == shutil.which("mlflow") else [sys.executable, "-m", "mlflow"]
    quiet = ["env", *(f"{name}={value}" for name, value in NO_TELEMETRY.items())] if os.name == "posix" else []
    return shlex.join([*quiet, *program, "server", "--backend-store-uri", uri, *_arguments(uri, host=host, port=port)])


def ui_address(experiment_id: str, *, host: str = "127.0.0.1", port: int = PORT, view: str | None = None) -> str:
    """Address of the runs of a study.

    It opens MLflow's pages as they are for model training. Opened any other way they show an experiment as one of
    language models first, without its runs, until the reader chooses "Model training".

    Args:
        experiment_id: id of the experiment, from :func:`scanproof.tracking.experiment.prepare`.
        host: address of the server.
        port: its port.
        view: key of a view of the experiment (:mod:`scanproof.tracking.views`), which must exist.

    Example:
        >>> ui_address("1")
        'http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning'
    """
    name = f"[{host}]" if ":" in host else host
    chosen = "" if view is None else f"&viewStateShareKey={view}"
    return f"http://{name}:{port}/#/experiments/{experiment_id}/runs?workflowType=machine_learning{chosen}"


def study_addresses(uri: str, *, host: str = "127.0.0.1", port: int = PORT) -> dict[str, str]:
    """Addresses of all studies in a database, by name; see :func:`ui_address`.

    Args:
        uri: tracking URI of a database.
        host: address of the server.
        port: its port.

    Raises:
        ScanproofError: the URI is not one of a database, or the database does not exist.
    """
    with connect(_check_database(uri)) as client:
        found = client.search_experiments()
    # the experiment that every new database has holds no study
    named = {experiment.name: experiment for experiment in found if experiment.name != "Default"}
    return {
        name: ui_address(
            named[name].experiment_id, host=host, port=port, view=FIRST if PREFIX + FIRST in named[name].tags else None
        )
        for name in sorted(named)
    }


def serve_ui(uri: str, *, host: str = "127.0.0.1", port: int = PORT) -> int:
    """Serve MLflow's pages until they are stopped, e.g. with Ctrl-C.

    The server knows no passwords: whoever reaches the address can read and change the runs. By default only
    programs on this machine reach it.

    Args:
        uri: tracking URI of a database.
        host: address to listen on.
        port: port to listen on.

    Returns:
        Exit code of the server, 0 if it was stopped by the user.

    Raises:
        ScanproofError: the URI is not one of a database, the database does not exist, or the port is taken.
    """
    uri = _check_database(uri)
    _check_port(host, port)
    # background jobs are about language models, and would add processes that outlive a crash of the server
    extra = {**NO_TELEMETRY, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    # other users of the machine can read a command line, but not an environment
    extra["MLFLOW_BACKEND_STORE_URI"] = uri
    command = [sys.executable, "-m", "mlflow", "server", *_arguments(uri, host=host, port=port)]
    # no shell reads the arguments, and none of them is free text: the host was bound to
    with subprocess.Popen(command, env=os.environ | extra) as server, _stopped_with(server):  # noqa: S603
        try:
            return server.wait()
        except KeyboardInterrupt:
            # a terminal sends Ctrl-C to the server as well; elsewhere it has to be told
            server.terminate()
            server.wait()
            return 0


@contextmanager
def _stopped_with(server: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass a request to end this program on to the server, which would otherwise go on alone."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _arguments(uri: str, *, host: str, port: int) -> list[str]:
    path = sqlite_path(uri)
    # what programs log through this server belongs beside the database, not into the working folder
    artifacts = [] if path is None else ["--artifacts-destination", str(path.parent / "artifacts")]
    # one worker serves one reader well; MLflow's four need a gigabyte more
    where = ["--host", host, "--port", str(port), "--workers", "1"]
    return [*artifacts, *where]


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach an address.

    Example:
        >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.5", "db.example")]
        [True, True, True, False, False, False]
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_database(uri: str) -> str:
    uri = check_uri(uri)
    if not is_database(uri):
        raise ScanproofError("a tracking server has pages of its own", value=redact(uri), hint="open it in a browser")
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        raise ScanproofError("tracking database must exist", file=path, hint="run a study first")
    return uri


def _check_port(host: str, port: int) -> None:
    if not 0 < port < 65536:
        raise ScanproofError("port must be in [1, 65535]", key="port", value=port)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ScanproofError(
                f"port must be free on {host}", key="port", value=port, hint=f"{error.strerror}; choose another port"
            ) from error
