"""Folders of files with a marker in every field that can hold text about a person."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Extension
from PIL import Image, PngImagePlugin

#: subjects of each split: enough for intervals and for telling of groups
SPLITS = ("train",) * 4 + ("val",) * 4 + ("test",) * 12


@dataclass
class Canaries:
    """Markers, each used in one field.

    Args:
        fields: marker to the field in which it stands.
    """

    fields: dict[str, str] = field(default_factory=dict)

    def mark(self, place: str, *, length: int = 18, text: str = "{}") -> str:
        """A new marker for a field: letters and digits as fields of any format allow, in a text around it."""
        marker = f"CNRY{uuid.uuid4().hex}"[:length].upper()
        self.fields[marker] = place
        return text.format(marker)


def image(number: int, shape: tuple[int, ...]) -> np.ndarray:
    """A head-like blob, brighter at a spot in every other subject, in float32."""
    random = np.random.default_rng(number)
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    found = np.exp(-3 * sum(axis**2 for axis in grid)) + 0.05 * random.random(shape)
    if number % 2:
        found += 0.6 * np.exp(-40 * sum((axis - 0.3) ** 2 for axis in grid[:2]))
    return found.astype(np.float32)


def manifest(folder: Path, paths: list[str], canaries: Canaries) -> Path:
    """A CSV with a marker in every column that allows one."""
    rows = [
        {
            "subject": canaries.mark("column subject", text="Doe^{}"),
            "site": "north",
            "path": path,
            "label": number % 2,
            "split": split,
            "name": canaries.mark("column name"),
            "birth date": canaries.mark("column birth date"),
            canaries_column(canaries): "x",
            "comment": canaries.mark("column comment", text="see {}, “ü”"),
        }
        for number, (path, split) in enumerate(zip(paths, SPLITS, strict=True))
    ]
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"


def canaries_column(canaries: Canaries) -> str:
    """One name of a column for all rows."""
    for marker, place in canaries.fields.items():
        if place == "name of a column":
            return marker
    return canaries.mark("name of a column")


def folder_of(root: Path, canaries: Canaries) -> Path:
    folder = root / canaries.mark("name of the folder", text="Doe Jane {}")
    folder.mkdir(parents=True)
    return folder


def nifti(root: Path, canaries: Canaries) -> Path:
    """Volumes with markers in every text of a NIfTI header, and in extensions."""
    folder, paths = folder_of(root, canaries), []
    for number in range(len(SPLITS)):
        volume = nib.Nifti1Image(image(number, (24, 26, 6)), np.diag([2.0, 2.0, 3.0, 1.0]))
        header = volume.header
        header["descrip"] = canaries.mark("descrip", text="name {}").encode()
        header["aux_file"] = canaries.mark("aux_file").encode()
        header["db_name"] = canaries.mark("db_name", length=16).encode()
        header["data_type"] = canaries.mark("data_type", length=9).encode()
        header["intent_name"] = canaries.mark("intent_name", length=15).encode()
        for code in (4, 6, 0):  # AFNI, a comment, one that nobody knows
            header.extensions.append(
                Nifti1Extension(code, canaries.mark(f"extension {code}", text="<p>{}</p>").encode())
            )
        name = canaries.mark("name of a file", text="T1_{}.nii.gz")
        below = folder / canaries.mark("name of a subfolder")
        below.mkdir()
        nib.save(volume, below / name)
        paths.append(str((below / name).relative_to(folder)))
    return manifest(folder, paths, canaries)


def png(root: Path, canaries: Canaries) -> Path:
    """Images with markers in text chunks, packed and not, and in EXIF."""
    folder, paths = folder_of(root, canaries), []
    for number in range(len(SPLITS)):
        pixels = Image.fromarray((200 * np.clip(image(number, (32, 32)), 0, 1)).astype(np.uint8))
        exif = Image.Exif()
        for tag in (0x010E, 0x013B, 0x8298):  # description, artist, copyright
            exif[tag] = canaries.mark(f"EXIF {tag:#x}")
        name = canaries.mark("name of a file")
        if number % 2:
            pixels.save(folder / f"{name}.jpg", exif=exif, comment=canaries.mark("JPEG comment").encode())
            paths.append(f"{name}.jpg")
            continue
        text = PngImagePlugin.PngInfo()
        text.add_text("Title", canaries.mark("PNG text"))
        text.add_text("Comment", canaries.mark("PNG packed text"), zip=True)
        text.add_itxt("Author", canaries.mark("PNG international text"))
        pixels.save(folder / f"{name}.png", pnginfo=text, exif=exif)
        paths.append(f"{name}.png")
    return manifest(folder, paths, canaries)


def dicom(root: Path, canaries: Canaries) -> Path:
    """Series with markers in every kind of element that can hold text, in private ones and in sequences."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    folder, paths = folder_of(root, canaries), []
    texts = {
        "PN": ("PatientName", "ReferringPhysicianName", "OperatorsName"),
        "LO": ("PatientID", "InstitutionName", "StudyDescription", "SeriesDescription", "ProtocolName"),
        "SH": ("AccessionNumber", "StudyID", "StationName"),
        "ST": ("InstitutionAddress",),
        "LT": ("AdditionalPatientHistory", "ImageComments", "PatientComments"),
        "UT": ("TextValue",),
        "UC": ("LongCodeValue",),
    }
    for number in range(len(SPLITS)):
        below = folder / canaries.mark("name of a series' folder")
        below.mkdir()
        shared = {name: canaries.mark(f"{kind} {name}", length=14) for kind, names in texts.items() for name in names}
        uids = {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
        canaries.fields |= {uid: name for name, uid in uids.items()}
        volume = image(number, (24, 26, 6))
        for place in range(volume.shape[2]):
            one = Dataset()
            for name, value in shared.items():
                setattr(one, name, value)
            for name, value in uids.items():
                setattr(one, name, value)
            one.SOPClassUID, one.SOPInstanceUID = MRImageStorage, generate_uid()
            canaries.fields[one.SOPInstanceUID] = "SOPInstanceUID"
            one.PatientBirthDate, one.PatientAge, one.PatientSex = "19010203", "099Y", "O"
            one.StudyDate = one.SeriesDate = one.ContentDate = "19020304"
            one.StudyTime = one.ContentTime = "111213.141516"
            canaries.fields["111213.141516"] = "times"  # dates alone are too short not to be met by chance
            item = Dataset()
            item.PatientID = canaries.mark("sequence: PatientID", length=14)
            item.IssuerOfPatientID = canaries.mark("sequence: IssuerOfPatientID", length=14)
            one.OtherPatientIDsSequence = [item]
            block = one.private_block(0x0029, "SCANPROOF TEST", create=True)
            for offset, kind in enumerate(("LO", "SH", "LT", "UT", "PN"), start=1):
                block.add_new(offset, kind, canaries.mark(f"private {kind}", length=14))
            block.add_new(9, "OB", canaries.mark("private OB", length=14).encode())
            one.Modality, one.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M"]
            one.MagneticFieldStrength, one.EchoTime, one.RepetitionTime = 3.0, 90.0, 4000.0
            one.ScanningSequence, one.SequenceVariant, one.ScanOptions, one.MRAcquisitionType = "SE", "NONE", "", "2D"
            one.SeriesNumber, one.InstanceNumber = 1, place + 1
            one.ImagePositionPatient = [0.0, 0.0, 3.0 * place]
            one.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
            one.PixelSpacing, one.SliceThickness, one.SpacingBetweenSlices = [2.0, 2.0], 3.0, 3.0
            one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
            pixels = (1000 * volume[:, :, place].T).astype(np.uint16)
            one.Rows, one.Columns = pixels.shape
            one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
            one.PixelData = pixels.tobytes()
            one.file_meta = FileMetaDataset()
            one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
            one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
            one.file_meta.SourceApplicationEntityTitle = canaries.mark("AE title", length=14)
            name = canaries.mark("name of a slice's file", text="{}.dcm")
            one.save_as(below / name, enforce_file_format=True, little_endian=True, implicit_vr=False)
        paths.append(below.name)
    return manifest(folder, paths, canaries)


HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
  <subjectInformation><patientName>{}</patientName><patientID>{}</patientID><patientBirthdate>1901-02-03</patientBirthdate>
    <patientGender>O</patientGender></subjectInformation>
  <studyInformation><studyDate>1902-03-04</studyDate><studyID>{}</studyID><accessionNumber>4711081500</accessionNumber>
    <referringPhysicianName>{}</referringPhysicianName><studyDescription>{}</studyDescription></studyInformation>
  <measurementInformation><measurementID>{}</measurementID><patientPosition>HFS</patientPosition>
    <protocolName>{}</protocolName></measurementInformation>
  <acquisitionSystemInformation><systemVendor>V</systemVendor><systemFieldStrength_T>3.0</systemFieldStrength_T>
    <receiverChannels>2</receiverChannels><institutionName>{}</institutionName><stationName>{}</stationName>
  </acquisitionSystemInformation>
  <experimentalConditions><H1resonanceFrequency_Hz>123000000</H1resonanceFrequency_Hz></experimentalConditions>
  <encoding><encodedSpace><matrixSize><x>32</x><y>32</y><z>1</z></matrixSize>
    <fieldOfView_mm><x>64</x><y>64</y><z>5</z></fieldOfView_mm></encodedSpace>
    <reconSpace><matrixSize><x>32</x><y>32</y><z>1</z></matrixSize>
    <fieldOfView_mm><x>64</x><y>64</y><z>5</z></fieldOfView_mm></reconSpace>
    <trajectory>cartesian</trajectory>
    <encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>31</maximum><center>16</center>
    </kspace_encoding_step_1><slice><minimum>0</minimum><maximum>2</maximum><center>0</center></slice></encodingLimits>
  </encoding>
  <sequenceParameters><TR>4000</TR><TE>90</TE><flipAngle_deg>90</flipAngle_deg></sequenceParameters>
</ismrmrdHeader>"""


def header(canaries: Canaries) -> str:
    """An ISMRMRD header with markers in all that it says of a person."""
    canaries.fields |= {"1901-02-03": "patientBirthdate", "1902-03-04": "studyDate", "4711081500": "accessionNumber"}
    places = ("patientName", "patientID", "studyID", "referringPhysicianName", "studyDescription", "measurementID")
    places += ("protocolName", "institutionName", "stationName")
    return HEADER.format(*(canaries.mark(place) for place in places))


def coil_kspace(number: int) -> np.ndarray:
    """Slices of two coils, complex64 (slice, coil, row, column)."""
    volume = image(number, (32, 32, 3)).transpose(2, 0, 1)[:, None]
    ramp = np.linspace(0.3, 1, 32)
    coils = np.stack([np.tile(ramp, (32, 1)), np.tile(ramp[::-1], (32, 1))])[None]
    shifted = np.fft.ifftshift(volume * coils, axes=(-2, -1))
    found = np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=(-2, -1))
    return found.astype(np.complex64)


def fastmri(root: Path, canaries: Canaries) -> Path:
    """Files of fastMRI with markers in attributes and header."""
    import h5py

    folder, paths = folder_of(root, canaries), []
    for number in range(len(SPLITS)):
        name = canaries.mark("name of a file", text="file_{}.h5")
        with h5py.File(folder / name, "w") as file:
            file["kspace"] = coil_kspace(number)
            file["ismrmrd_header"] = header(canaries)
            for key in ("patient_id", "acquisition", "comment"):
                file.attrs[key] = canaries.mark(f"attribute {key}")
            file["kspace"].attrs["note"] = canaries.mark("attribute of k-space")
        paths.append(name)
    return manifest(folder, paths, canaries)


def ismrmrd(root: Path, canaries: Canaries) -> Path:
    """Raw data of ISMRMRD with markers in the header and beside the data."""
    import h5py
    import ismrmrd as raw

    folder, paths = folder_of(root, canaries), []
    for number in range(len(SPLITS)):
        name = canaries.mark("name of a file", text="{}.h5")
        dataset = raw.Dataset(str(folder / name), "dataset", create_if_needed=True)
        dataset.write_xml_header(header(canaries).encode())
        for place, one in enumerate(coil_kspace(number)):
            for line in range(one.shape[1]):
                readout = raw.Acquisition.from_array(np.ascontiguousarray(one[:, line]))
                readout.idx.kspace_encode_step_1, readout.idx.slice = line, place
                readout.center_sample = one.shape[2] // 2
                dataset.append_acquisition(readout)
        dataset.close()
        with h5py.File(folder / name, "a") as file:
            file["dataset"].attrs["patient"] = canaries.mark("attribute of the data set")
        paths.append(name)
    return manifest(folder, paths, canaries)
