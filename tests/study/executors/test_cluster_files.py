"""The ready files of studies/cluster: well formed, and asking for what there is."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import typer
import yaml

from scanproof.cli import app

FOLDER = Path(__file__).parents[3] / "studies" / "cluster"


def options() -> set[str]:
    """Of ``scanproof run``."""
    run = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    return {name for parameter in run.params for name in parameter.opts}


def asked(command: str) -> set[str]:
    """Options in the text of a ``scanproof run``."""
    return {word for word in shlex.split(command.partition("scanproof run")[2]) if re.fullmatch(r"--[a-z-]+", word)}


def test_the_script_is_bash_and_knows_the_command() -> None:
    script = FOLDER / "slurm.sh"
    subprocess.run(["bash", "-n", script], check=True)
    last = script.read_text().splitlines()[-1]
    assert {"--executor", "--address"} <= asked(last) <= options()


def test_the_script_starts_ray_with_options_that_it_has(tmp_path: Path) -> None:
    """The script runs with stand-ins for SLURM's commands and for Ray's, which print what they are asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "activate").write_text("")
    (folder / "scontrol").write_text("#!/bin/sh\nprintf 'node1\\nnode2\\n'\n")
    (folder / "srun").write_text('#!/bin/sh\ncase "$*" in *hostname*) echo 10.0.0.7 10.1.0.7;; *) echo "$@";; esac\n')
    (folder / "python").symlink_to(sys.executable)
    for name in ("scontrol", "srun"):
        (folder / name).chmod(0o755)
    allocation = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": "41234"}
    done = subprocess.run(
        ["bash", FOLDER / "slurm.sh", "a study.yaml", "--root", "/shared"],
        env={
            **allocation,
            "SLURM_CPUS_ON_NODE": "8",
            "SCANPROOF_ENV": str(tmp_path),
            "PATH": f"{folder}:/usr/bin:/bin",
        },
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    said = " ".join(done.stdout.split())
    assert "ray symmetric-run --address 10.0.0.7:21234 --min-nodes 2 --num-cpus 8" in said
    assert said.endswith("-- scanproof run a study.yaml --executor ray --address 10.0.0.7:21234 --root /shared")
    assert not list(tmp_path.glob(".ray-token-*"))


def test_the_manifest_is_a_job_of_kuberay_and_knows_the_command() -> None:
    manifest = yaml.safe_load((FOLDER / "kuberay.yaml").read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayJob")
    assert {"--executor", "--address", "--store", "--root"} <= asked(manifest["spec"]["entrypoint"]) <= options()
    cluster = manifest["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    containers = [one for group in groups for one in group["template"]["spec"]["containers"]]
    assert {one["image"] for one in containers} == {"IMAGE"}
    assert all(one["envFrom"] == [{"secretRef": {"name": "scanproof-s3"}}] for one in containers)
    constraints = (FOLDER.parents[1] / "constraints.txt").read_text()
    assert f"\nray=={cluster['rayVersion']}\n" in constraints
    mounts = {mount["name"] for mount in containers[0]["volumeMounts"]}
    assert mounts == {volume["name"] for volume in groups[0]["template"]["spec"]["volumes"]}
