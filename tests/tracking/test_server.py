from __future__ import annotations

import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from privacy.search import found_in
from scanproof.errors import ScanproofError
from scanproof.tracking.client import connect
from scanproof.tracking.experiment import prepare
from scanproof.tracking.model import TrackedStudy
from scanproof.tracking.register import NewVersion, register_versions
from scanproof.tracking.registry import fetch, find_version
from scanproof.tracking.server import serve_ui, study_addresses, ui_address, ui_command
from scanproof.tracking.study_log import log_study
from scanproof.tracking.uri import default_tracking_uri
from scanproof.tracking.views import FIRST, PREFIX

SERVE = (
    "import sys; from scanproof.tracking.server import serve_ui; print(serve_ui(sys.argv[1], port=int(sys.argv[2])))"
)


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    port: int
    uri: str
    folder: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(address: str) -> bool:
    try:
        with urlopen(f"{address}/health", timeout=2) as reply:  # noqa: S310 (an address of this machine)
            return bool(reply.read() == b"OK")
    except (URLError, OSError):
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Server]:
    """MLflow's pages of one database, in a process of their own, ended as a service manager would."""
    root = tmp_path_factory.mktemp("served") / "mlruns"
    root.mkdir()
    shutil.copy(empty_database, root / "mlflow.db")
    uri, port, folder = default_tracking_uri(root), free_port(), tmp_path_factory.mktemp("elsewhere")
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, uri, str(port)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        found = Server(process, port, uri, folder)
        end = time.monotonic() + 90
        while not answers(found.address) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.2)
        if not answers(found.address):
            process.terminate()
            pytest.fail(f"server did not start: {process.communicate(timeout=20)[0]}")
        yield found
        process.terminate()
        said, _ = process.communicate(timeout=30)
    assert "Traceback" not in said
    assert not answers(found.address)


def test_pages_are_served_to_this_machine_only(server: Server) -> None:
    query = Request(  # noqa: S310 (an address of this machine)
        f"{server.address}/api/2.0/mlflow/experiments/search",
        data=json.dumps({"max_results": 5}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urlopen(query, timeout=10) as reply:  # noqa: S310
        assert "unused" in [entry["name"] for entry in json.load(reply)["experiments"]]
    with urlopen(server.address, timeout=10) as reply:  # noqa: S310
        assert b"MLflow" in reply.read()
    listening = Path("/proc/net/tcp")
    if listening.exists():
        port = f":{server.port:04X}"
        rows = [line.split()[1] for line in listening.read_text().splitlines()[1:] if line.split()[3] == "0A"]
        assert [row for row in rows if row.endswith(port)] == [f"0100007F{port}"]
    for address in {"127.0.0.2", *addresses_of_this_machine()}:
        with pytest.raises(ConnectionRefusedError), socket.create_connection((address, server.port), timeout=5):
            pass


def addresses_of_this_machine() -> set[str]:
    """That by which others would reach it: no packet is sent to find out. Empty without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation, which nobody has
        except OSError:
            return set()
        return {str(probe.getsockname()[0])} - {"127.0.0.1"}


def test_the_address_of_the_database_is_in_no_command_line(server: Server) -> None:
    """Other users of a machine can read command lines; the address may hold a password."""
    lines = [read(file) for file in Path("/proc").glob("[0-9]*/cmdline")]
    here = [line for line in lines if str(server.port) in line.split("\0")]
    assert len(here) >= 2  # the program that serves, and MLflow
    assert [line for line in here if "mlflow\0server" in line]
    assert not [line for line in here if server.uri in line and SERVE not in line]


def read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:  # a process that has ended
        return ""


def test_study_is_logged_to_a_server_as_to_a_database(server: Server, make_study: Callable[..., TrackedStudy]) -> None:
    study = make_study(study="remote", sites=("north",))
    canary = "CNRY5e2b9c"
    uri = server.address.replace("://", f"://me:{canary}@")
    runs = log_study(study, uri=uri)
    assert log_study(study, uri=uri) == runs
    assert found_in(Path(server.uri.removeprefix("sqlite:///")).parent, [canary]) == []
    with connect(server.address) as client:
        run = client.get_run(runs["north"])
        assert run.info.status == "FINISHED"
        assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
        assert "report.html" in [entry.path for entry in client.list_artifacts(runs["north"])]
    stored = list((Path(server.uri.removeprefix("sqlite:///")).parent / "artifacts").rglob("report.html"))
    assert [path.read_text() for path in stored] == [study.report.read_text()]
    assert not list(server.folder.iterdir())  # nothing strays into the working folder


def test_models_come_back_from_a_server(
    server: Server, make_study: Callable[..., TrackedStudy], tmp_path: Path
) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / "weights.safetensors").write_bytes(bytes(range(64)))
    (record,) = make_study().training
    new = NewVersion(
        name="knee.unet",
        folder=folder,
        experiment="remote",
        training=record,
        tags={"model_sha256": record.model_sha256, "method": "unet", "options": "{}"},
        description="a network",
    )
    ((version, is_new),) = register_versions([new], uri=server.address)
    assert (version.uri, is_new) == ("models:/knee.unet/1", True)
    assert register_versions([new], uri=server.address) == [(version, False)]
    assert find_version(server.address, "knee.unet", number="1") == version
    copy = fetch(server.address, version, downloads=tmp_path / "models")
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    assert fetch(server.address, version, downloads=tmp_path / "models") == copy
    assert list((tmp_path / "models").iterdir()) == [copy]


@pytest.mark.browser
def test_reviewer_finds_sites_chains_and_curves(server: Server, make_study: Callable[..., TrackedStudy]) -> None:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("needs chromium and chromedriver")
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    runs = log_study(make_study(study="watched"), uri=server.uri)
    with connect(server.uri) as client:
        experiment_id = client.get_run(runs["north"]).info.experiment_id
        nested, overall = (
            client.search_runs([experiment_id], filter_string=f"tags.mlflow.parentRunId = '{runs[site]}'")
            for site in ("north", "all")
        )

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "window-size=1400,1000",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as page:
        wait = WebDriverWait(page, 30)

        def texts(selector: str) -> list[str]:
            # in one go, because the page replaces its elements while they load
            script = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)"
            return list(page.execute_script(script, selector))

        page.get(ui_address(experiment_id, port=server.port))
        # the newest first, as they were logged to be read
        shown = ["all sites", "north", "south"]
        wait.until(lambda _: [name for name in texts("[role=row] a") if name in shown] == shown)

        page.get("about:blank")
        page.get(ui_address(experiment_id, port=server.port, view=FIRST))
        # chains over all sites by their mean AUROC, with the columns that say why
        order = sorted(overall, key=lambda run: -run.data.metrics["auroc_shifted"])
        names = [run.info.run_name for run in order]
        wait.until(lambda _: [name for name in texts("[role=row] a") if " / " in name] == names)
        heads = texts("[role=columnheader]")
        assert {"norm", "reconstruction", "auroc_shifted"} <= set(heads)
        assert "Source" not in heads
        assert "The best first" in texts("button")

        page.get(f"{server.address}/#/experiments/{experiment_id}/runs/{runs['north']}")
        wait.until(lambda _: {run.info.run_name for run in nested} <= set(texts("a")))
        wait.until(lambda _: any("Best chain by the mean AUROC" in text for text in texts("p")))

        page.get(f"{server.address}/#/experiments/{experiment_id}/runs/{nested[0].info.run_id}/model-metrics")
        # a curve through severities 0, 1 and 2
        count = "return document.querySelector('.scatterlayer')?.querySelectorAll('.point').length"
        wait.until(lambda _: page.execute_script(count) == 3)
        assert any("ghosting" in text for text in texts("button, h4, span"))

        asked = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    addresses = [e["params"]["request"]["url"] for e in asked if e["method"] == "Network.requestWillBeSent"]
    outside = [a for a in addresses if not a.startswith((server.address, "data:", "blob:", "chrome:", "chrome-"))]
    assert addresses
    assert not outside


def test_port_that_is_taken_is_named(uri: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ScanproofError, match=rf"port must be free on 127\.0\.0\.1, got {port} .*another port"):
            serve_ui(uri, port=port)


@pytest.mark.parametrize("port", [0, 65536])
def test_port_out_of_range(uri: str, port: int) -> None:
    with pytest.raises(ScanproofError, match=r"port must be in \[1, 65535\]"):
        serve_ui(uri, port=port)


def test_nothing_to_serve(tmp_path: Path) -> None:
    with pytest.raises(ScanproofError, match=r"mlflow\.db: tracking database must exist \(run a study first\)"):
        serve_ui(default_tracking_uri(tmp_path))
    with pytest.raises(ScanproofError, match="has pages of its own"):
        serve_ui("http://tracking.example:5000")


def test_interrupt_ends_the_server(uri: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, uri, str(free_port())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()  # of MLflow: it runs
        process.send_signal(signal.SIGINT)
        try:
            said, _ = process.communicate(timeout=30)  # returns only when MLflow, too, has closed its output
        finally:
            process.kill()
    assert process.returncode == 0, first + said
    assert said.strip().splitlines()[-1] == "0"


def test_command_can_be_pasted(uri: str) -> None:
    words = shlex.split(ui_command(uri, port=5001))
    assert words[words.index("--backend-store-uri") + 1] == uri
    program = words[[word.startswith("env") or "=" in word for word in words].index(False) : words.index("server")]
    here = str(Path(sys.executable).parent / "mlflow")
    assert program == (["mlflow"] if shutil.which("mlflow") == here else [sys.executable, "-m", "mlflow"])
    assert "MLFLOW_DISABLE_TELEMETRY=true" in words


def test_command_quotes_odd_paths() -> None:
    assert "'sqlite:////data/my runs/mlflow.db'" in ui_command("sqlite:////data/my runs/mlflow.db")


def test_addresses_name_every_study(tmp_path: Path) -> None:
    uri = default_tracking_uri(tmp_path)
    ids = {name: prepare(uri, experiment=name) for name in ("knees", "brains")}
    expected = {name: ui_address(ids[name], port=5001) for name in ("brains", "knees")}
    assert study_addresses(uri, port=5001) == expected
    with connect(uri) as client:
        client.set_experiment_tag(ids["knees"], PREFIX + FIRST, "{}")
    assert study_addresses(uri)["knees"].endswith(f"workflowType=machine_learning&viewStateShareKey={FIRST}")
    with pytest.raises(ScanproofError, match="tracking database must exist"):
        study_addresses(default_tracking_uri(tmp_path / "none"))
