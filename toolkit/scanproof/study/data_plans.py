"""What a study file may say of its data: the demo cohort, or volumes, single images or measured k-space of a site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from scanproof.data.demo.findings import FINDINGS, LESION, check_findings
from scanproof.data.demo.scanner import SCANNERS
from scanproof.errors import unknown_name
from scanproof.study.fields import Model, once

Matrix = tuple[Annotated[int, Field(ge=16, le=4096)], Annotated[int, Field(ge=16, le=4096)]]
Share = Annotated[float, Field(ge=0, le=1)]
Millimetres = Annotated[float, Field(gt=0)]


class Subjects(Model):
    """Number of subjects of each split; external sites have the test split alone."""

    train: int = Field(160, ge=2)
    val: int = Field(32, ge=2)
    test: int = Field(24, ge=2)


class DemoData(Model):
    """The demo cohort: simulated subjects with real anatomy at three simulated sites."""

    kind: Literal["demo"]
    sites: list[str] = Field(list(SCANNERS), min_length=1, description="demo sites to test")
    training_sites: list[str] = Field(
        ["north"],
        min_length=1,
        description="sites whose train and val splits are used; the others show what a change of site does",
    )
    subjects: Subjects = Subjects()
    slices: int = Field(5, ge=1, le=24, description="axial slices a subject")
    matrix: Matrix = Field((112, 96), description="rows and columns of the images, 2 mm voxels")
    labels: list[Annotated[str, Field(json_schema_extra={"enum": list(FINDINGS)})]] = Field(
        [LESION],
        min_length=1,
        description="findings that classifiers learn, each for itself, on the same images",
    )

    @property
    def measured(self) -> bool:
        """Whether k-space was measured; it is simulated otherwise."""
        return False

    @field_validator("sites", "training_sites")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in SCANNERS:
                raise unknown_name("demo site", name, SCANNERS)
        return once(names, "site")

    @field_validator("labels")
    @classmethod
    def _findings(cls, names: list[str]) -> list[str]:
        check_findings(names)
        return once(names, "finding")

    @model_validator(mode="after")
    def _trained_sites_exist(self) -> Self:
        for name in self.training_sites:
            if name not in self.sites:
                raise unknown_name("training site", name, self.sites)
        return self


def _rising(extent: tuple[float, float]) -> tuple[float, float]:
    if extent[0] >= extent[1]:
        raise ValueError("first value must be below the second")
    return extent


class Fractions(Model):
    """Shares of a training site's subjects in each split, where the manifest has no ``split`` column."""

    train: Share = 0.6
    val: Share = 0.15
    test: Share = 0.25

    @model_validator(mode="after")
    def _sum(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, val and test must sum to 1, got {total:g}")
        return self


class SiteData(Model):
    """What folders of a site's files have in common."""

    kind: Literal["volumes", "images", "kspace"]
    manifest: Path | None = None
    root: Path | None = Field(None, description="folder of the manifest's relative paths; default: the manifest's")
    site: str = Field("local", min_length=1, description="name of the site, where nothing in the folder tells it")
    training_sites: list[str] | None = Field(
        None,
        min_length=1,
        description="sites with train and val splits; default: the site with most subjects. The others show what a "
        "change of site does",
    )
    fractions: Fractions = Fractions()
    matrix: Matrix = Field((112, 96), description="rows and columns of the images")
    show_images: bool = Field(False, description="allow images of subjects in the report")
    _only_site: str | None = PrivateAttr(None)

    @property
    def only_site(self) -> str | None:
        """Name of the one site whose subjects are all tested, whatever the manifest says of sites and splits."""
        return self._only_site

    def tested_at(self, site: str) -> Self:
        """The same data as those of one site that trains nothing; its name belongs to the site, not to the study."""
        plan = self.model_copy()
        plan._only_site = site
        return plan

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.manifest is None and self.root is None:
            raise ValueError("manifest or root must be given")
        return self

    @property
    def folder(self) -> Path | None:
        """Folder of relative paths."""
        return self.root if self.manifest is None else self.root or self.manifest.parent

    @property
    def measured(self) -> bool:
        """Whether k-space was measured; it is simulated otherwise."""
        return False


class SimulatedData(SiteData):
    """What folders of magnitude images have in common: k-space is simulated from them."""

    kind: Literal["volumes", "images"]
    coils: int = Field(8, ge=1, le=128, description="receive coils of the simulated acquisition")
    snr: float = Field(30.0, gt=0, description="signal-to-noise ratio of the simulated acquisition")


class BidsPlan(Model):
    """What to take from a BIDS dataset."""

    suffix: str | None = Field(None, description="which images, e.g. T1w; may be left out where there is one kind")
    label: str | None = Field(
        None, description="column of participants.tsv with the labels; default label, or columns label_NAME"
    )
    site: str | None = Field(None, description="column of participants.tsv with the site; default one site")


class VolumeData(SimulatedData):
    """A folder of volumes, NIfTI or DICOM: with a CSV manifest (subject, site, path, labels, split), or in BIDS."""

    kind: Literal["volumes"]
    manifest: Path | None = Field(
        None,
        description="CSV file; a relative path is relative to the study file. Without one, root is a BIDS dataset",
    )
    bids: BidsPlan = BidsPlan()
    slices: int = Field(5, ge=1, le=512, description="axial slices a volume")
    extent: tuple[Share, Share] = Field((0.4, 0.7), description="lowest and highest slice, as shares of the height")
    spacing: tuple[Millimetres, Millimetres] = Field((2.0, 2.0), description="in-plane voxel size in mm, (row, column)")

    @field_validator("extent")
    @classmethod
    def _extent_rises(cls, extent: tuple[float, float]) -> tuple[float, float]:
        return _rising(extent)


class ImageData(SimulatedData):
    """A folder of grey PNG, JPEG or TIFF images: with a CSV manifest like that of volumes, or with a folder a class."""

    kind: Literal["images"]
    manifest: Path | None = Field(
        None,
        description="CSV file; a relative path is relative to the study file. Without one, root holds a folder of "
        "images for each class, and each file name is taken for a subject",
    )
    spacing: tuple[Millimetres, Millimetres] = Field(
        (1.0, 1.0), description="nominal size in mm of a pixel after resampling, (row, column): files do not tell it"
    )


class KspaceData(SiteData):
    """A folder of raw data, fastMRI HDF5 or ISMRMRD, fully sampled, with a CSV manifest like that of volumes."""

    kind: Literal["kspace"]
    manifest: Path = Field(description="CSV file; a relative path is relative to the study file")
    slices: int = Field(5, ge=1, le=512, description="slices a file")
    extent: tuple[Share, Share] = Field((0.3, 0.7), description="first and last slice, as shares of their number")
    matrix: Matrix = Field(
        (320, 320),
        description="rows (readout) and columns (phase encoding) to which coil images are cropped or zero-padded; "
        "lines stay as measured where the columns are the files' own",
    )
    coils: int | None = Field(
        None,
        ge=1,
        le=128,
        description="virtual coils to which those of each slice are compressed; default: the files' own, which must "
        "then be of one number at a site",
    )
    spacing: tuple[Millimetres, Millimetres] | None = Field(
        None, description="in-plane voxel size in mm, (row, column), of files that do not tell it"
    )

    @property
    def measured(self) -> bool:
        """Whether k-space was measured; it is simulated otherwise."""
        return True

    @field_validator("extent")
    @classmethod
    def _extent_rises(cls, extent: tuple[float, float]) -> tuple[float, float]:
        return _rising(extent)


AnyData = Annotated[DemoData | VolumeData | ImageData | KspaceData, Field(discriminator="kind")]
