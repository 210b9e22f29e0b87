"""Studies on k-space that a scanner measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kspace_files import write_fastmri, xml_header
from scanproof.data.cohort import Cohort
from scanproof.data.kspace import kspace_cohort
from scanproof.data.manifest import LabelledFile
from scanproof.errors import ScanproofError
from scanproof.physics.coils import birdcage_sensitivities, root_sum_of_squares
from scanproof.physics.fft import kspace_to_image
from scanproof.physics.simulate import synthetic_kspace
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.study.acquire import AcquiredCohort, Changes, Sampling, ScanMemory, collate
from scanproof.study.load import load_study
from scanproof.study.record import data_hash
from scanproof.study.run import Workspace, run_study
from scanproof.study.store import DamagedEntryError, Payload, Store
from scanproof.study.tasks.cohort import read_cohort

FULL = Sampling(mask="full", acceleration=1, center_fraction=0)
HALF = Sampling(mask="random", acceleration=2, center_fraction=0.2)
SHAPE = (64, 48)
NOISE = 0.02


def raw(*, seed: int, slices: int = 2, coils: int = 6, bright: bool = False, shape=SHAPE) -> np.ndarray:
    y, x = torch.meshgrid(torch.linspace(-1, 1, shape[0]), torch.linspace(-1, 1, shape[1]), indexing="ij")
    found = []
    for place in range(slices):
        generator = torch.Generator().manual_seed(100 * seed + place)
        centre = 0.3 * torch.rand(2, generator=generator) - 0.15
        disc = torch.sigmoid(8 * (0.5 - x**2 - y**2))  # smooth: the edge of k-space is noise
        spot = torch.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 0.03)
        image = disc + (1.0 if bright else 0.2) * spot
        maps = birdcage_sensitivities(coils, shape)
        found.append(synthetic_kspace(image[None], maps, generator=generator, noise_std=NOISE))
    return 1e-5 * torch.stack(found).numpy()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("kspace")
    files = [
        LabelledFile(f"s{n}", str(write_fastmri(folder / f"{n}.h5", raw(seed=n))), (), split)
        for n, split in enumerate(("train", "test", "test"))
    ]
    return kspace_cohort("site", files, folder=folder, slices=2, extent=(0, 1), matrix=SHAPE)


def combined(sample) -> torch.Tensor:
    return (sample["sensitivities"].conj() * kspace_to_image(sample["kspace"])).sum(dim=0)


def test_undisturbed_scans_are_what_was_measured(cohort: Cohort) -> None:
    test = cohort.select("test")
    acquired = AcquiredCohort(test, sampling=FULL, seed=1)
    assert len(acquired) == 4
    for index in (0, 3, -1):
        kspace, maps = test.scans[index % 4]
        assert torch.equal(acquired[index]["kspace"], kspace)
        assert torch.equal(acquired[index]["sensitivities"], maps)
    batch = collate(acquired[:2])
    assert batch["sensitivities"].shape == batch["kspace"].shape == (2, 6, *SHAPE)
    image = RECONSTRUCTORS.create("fully_sampled")(batch["kspace"], batch["mask"], batch["sensitivities"])
    torch.testing.assert_close(image, batch["reference"], atol=1e-6, rtol=1e-5)


def test_masks_and_artifacts_act_on_it(cohort: Cohort) -> None:
    half = AcquiredCohort(cohort, sampling=HALF, seed=1)[0]
    lines = half["mask"][0, 0]
    assert lines.sum() < 30
    assert not half["kspace"][..., ~lines].any()
    assert torch.equal(half["kspace"][..., lines], cohort.scans[0][0][..., lines])
    changes = Changes(artifacts=(("ghosting", 3),))
    ghosted = AcquiredCohort(cohort, sampling=FULL, seed=1, changes=changes)[0]
    assert not torch.equal(ghosted["kspace"], cohort.scans[0][0])


def test_noise_is_added_until_the_ratio_is_divided(cohort: Cohort) -> None:
    """Against the noise that the data were made with."""
    clean = AcquiredCohort(cohort, sampling=FULL, seed=1)
    noisy = AcquiredCohort(cohort, sampling=FULL, seed=1, changes=Changes(snr=3.0))
    for before, after in zip(clean, noisy, strict=True):
        inside = before["reference"][0] > 0.5
        added = torch.view_as_real((combined(after) - combined(before))[inside]).std()
        scale = float(before["reference"][0][inside].median())  # of an object of one
        assert float(added) == pytest.approx(NOISE * scale * 8**0.5, rel=0.25)
    again = AcquiredCohort(cohort, sampling=FULL, seed=1, changes=Changes(snr=2.0))[0]
    torch.testing.assert_close(
        (again["kspace"] - clean[0]["kspace"]) * 8**0.5, (noisy[0]["kspace"] - clean[0]["kspace"]) * 3**0.5
    )


def test_lost_coils_leave_intensity_and_take_signal(cohort: Cohort) -> None:
    few = AcquiredCohort(cohort, sampling=FULL, seed=1, changes=Changes(coils=0.5))[0]
    assert few["kspace"].shape == few["sensitivities"].shape == (3, *SHAPE)
    rss = root_sum_of_squares(few["sensitivities"], dim=0)
    inside = few["reference"][0] > 0.3
    torch.testing.assert_close(rss[inside], torch.ones(int(inside.sum())), atol=1e-4, rtol=0)
    ratio = combined(few).abs()[inside] / few["reference"][0][inside]
    assert float(ratio.mean()) == pytest.approx(1, abs=0.02)
    # the same through the memory of scans
    memory = ScanMemory()
    kept = [AcquiredCohort(cohort, sampling=FULL, seed=1, changes=Changes(coils=0.5), memory=memory) for _ in range(2)]
    assert all(torch.equal(one[0][key], few[key]) for one in kept for key in few)


def test_volumes_are_refused(cohort: Cohort) -> None:
    with pytest.raises(ScanproofError, match="slices must be adjacent"):
        AcquiredCohort(cohort, sampling=Sampling(mask="full", acceleration=1, center_fraction=0, dimensions=3), seed=1)


def test_the_store_takes_over_what_is_large(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.scratch()
    array = np.arange(12, dtype=np.complex64).reshape(3, 4)
    np.save(folder / "kspace.npy", array)
    store.put("ab" * 32, Payload(arrays={"small": np.ones(2)}, large={"kspace": folder / "kspace.npy"}), task={})
    assert not (folder / "kspace.npy").exists()
    found = store.get("ab" * 32).arrays
    assert isinstance(found["kspace"], np.memmap)
    np.testing.assert_array_equal(found["kspace"], array)
    np.testing.assert_array_equal(found["small"], np.ones(2))
    file = next(tmp_path.rglob("kspace.npy"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedEntryError):
        store.get("ab" * 32)
    assert "ab" * 32 not in store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sites with arrays of their own; subjects with a bright spot are positive."""
    path = tmp_path_factory.mktemp("site")
    rows = []
    splits = {"north": ["train"] * 6 + ["val"] * 4 + ["test"] * 4, "south": ["test"] * 4}
    for site, parts in splits.items():
        for number, split in enumerate(parts):
            name = f"{site}-{number}.h5"
            kspace = raw(seed=len(rows), bright=bool(number % 2), coils=4 if site == "north" else 5, shape=(48, 40))
            header = xml_header((48, 40), private="Jane Doe")
            write_fastmri(path / name, kspace, header=header, attributes={"patient_id": "Jane Doe"})
            rows.append(
                {"subject": f"Jane {len(rows)}", "site": site, "path": name, "label": number % 2, "split": split}
            )
    pd.DataFrame(rows).to_csv(path / "cohort.csv", index=False)
    return path


@pytest.fixture
def measured(small: dict, folder: Path) -> dict:
    small["data"] = {"kind": "kspace", "manifest": str(folder / "cohort.csv"), "slices": 2, "matrix": [48, 40]}
    small["acquisition"] = {"mask": "random", "accelerations": [2], "center_fraction": 0.2}
    small["shifts"] = [
        {"name": "ghosting", "severities": [3]},
        {"name": "snr", "severities": [3]},
        {"name": "coil_count", "severities": [2]},
    ]
    small["reconstruction"] = [
        {"name": "fully_sampled"},
        {"name": "cg_sense"},
        {"name": "modl", "options": {"unrolls": 2, "features": 4, "epochs": 1, "batch_size": 2}},
    ]
    small["classification"][0] |= {"norms": ["group"], "seeds": [1]}
    return small


def test_a_study_from_raw_data_to_report(measured: dict, write_study, tmp_path: Path) -> None:
    results = []
    for workers in (1, 2):
        workspace = Workspace(root=tmp_path / str(workers))
        workspace.root.mkdir()
        (workspace.root / "site.key").write_text("ab" * 32)  # pseudonyms are alike
        finished = run_study(
            load_study(write_study(measured)), workspace, workers=workers, tracking_uri=None, command="test"
        )
        results.append(finished)
    assert results[0].results.equals(results[1].results)
    assert results[0].predictions.equals(results[1].predictions)
    table = results[0].results
    assert set(table["site"]) == {"north", "south", "all"}
    cases = table[table["case"].notna() & (table["metric"] == "psnr")]
    means = cases.groupby(["shift", "reconstruction"])["value"].mean().unstack()
    assert means.loc["none", "fully_sampled"] > 100 > means.loc["snr", "fully_sampled"]
    assert (means.loc["none", ["cg_sense", "modl"]] > means.loc["ghosting", ["cg_sense", "modl"]]).all()
    page = results[0].report.read_text(encoding="utf-8")
    assert "The k-space was measured by a scanner." in page
    assert "Shifts are simulated on scanner-acquired k-space; not for clinical use." in page
    assert "synthetic" not in page
    everything = [*(tmp_path / "1").rglob("*"), results[0].report]
    assert not any(b"Jane" in file.read_bytes() for file in everything if file.is_file())


def test_the_hash_of_data_is_of_kspace_too(cohort: Cohort) -> None:
    arrays = {"images": cohort.images, "kspace": np.array(cohort.scans.kspace)}
    tables = {"cases": cohort.cases}
    before = data_hash(Payload(arrays=arrays, tables=tables))
    arrays["kspace"][-1, -1, -1, -1] *= 2
    assert data_hash(Payload(arrays=arrays, tables=tables)) != before


def test_a_folder_of_raw_data_is_recognised(small: dict, write_study, folder: Path) -> None:
    study = load_study(write_study(small), data=folder)
    assert (study.data.kind, study.data.matrix, study.data.coils) == ("kspace", (48, 40), None)
    assert study.data.measured
    assert not load_study(write_study(small)).data.measured


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"acquisition": {"dimensions": 3}}, "acquisition.dimensions: must be 2 for measured k-space: .* got 3"),
        ({"shifts": [{"name": "contrast", "severities": [1]}]}, r"shifts\[0\]: needs the demo cohort"),
        ({"shifts": [{"name": "anatomy", "severities": [1]}]}, r"shifts\[0\]: needs the demo cohort"),
        ({"coils": 4}, r"shifts\[2\].name: needs the coils of the scanner: data.coils .* got 'coil_count'"),
        ({"snr": 4}, "data.snr: unknown key"),
    ],
)
def test_what_measured_kspace_does_not_allow(measured: dict, write_study, change: dict, message: str) -> None:
    for key, value in change.items():
        if key in ("coils", "snr"):
            measured["data"][key] = value
        elif isinstance(value, dict):
            measured[key] |= value
            measured |= {"shifts": [], "classification": [], "reconstruction": [{"name": "cg_sense"}]}
        else:
            measured[key] = value
    with pytest.raises(ScanproofError, match=message):
        load_study(write_study(measured))


def test_cohorts_come_back_from_the_store(measured: dict, write_study, tmp_path: Path) -> None:
    from scanproof.study.executor import execute
    from scanproof.study.run import plan_study

    workspace = Workspace(root=tmp_path)
    task = plan_study(load_study(write_study(measured)), workspace).cohorts["south"]
    execute([task], workspace.store, workers=1)
    found = read_cohort(workspace.store.get(task.key))
    assert isinstance(found.scans.kspace, np.memmap)
    assert len(found.scans) == len(found.images) == 8
    assert found.acquisition.facts["field strength (T)"] == "2.8936"
    reference = (found.scans[0][1].conj() * kspace_to_image(found.scans[0][0])).sum(dim=0).abs()
    torch.testing.assert_close(reference, torch.from_numpy(found.images[0, 0]), atol=1e-6, rtol=1e-5)
