"""DICOM: files, series in folders, and frames in one file."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from random import Random

import numpy as np
from pydicom.uid import UID

from dicom_series import write_enhanced, write_series
from fuzz.images import bomb
from fuzz.mutate import NUMBERS, TEXTS, mutate

_KEYWORDS = (
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PhotometricInterpretation", "PixelSpacing", "SliceThickness", "RescaleSlope"),
    *("RescaleIntercept", "ImagePositionPatient", "ImageOrientationPatient", "ImageType", "SeriesNumber", "Modality"),
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "EchoTime", "MagneticFieldStrength", "ScanningSequence"),
    *("PixelPaddingValue", "PlanarConfiguration", "PixelData", "PerFrameFunctionalGroupsSequence"),
)
_SYNTAXES = (
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5", "1.2.3"),
    *("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.1.98"),
)


class Dicom:
    """Damaged bytes, odd elements, other transfer syntaxes."""

    def __init__(self, base: Path) -> None:
        voxels = (np.arange(6 * 5 * 3) % 50 + 1).reshape(6, 5, 3).astype(np.uint16)
        self.series = [path.read_bytes() for path in write_series(base / "series", voxels)]
        self.frames = write_enhanced(base / "frames.dcm", voxels).read_bytes()
        self.zeros = bomb(b"", 2**25)[10:-8]

    def make(self, rng: Random, folder: Path) -> Path:
        if rng.random() < 0.5:
            path = folder / rng.choice(("input.dcm", "input.ima", "input"))
            path.write_bytes(self._damaged(rng.choice((self.frames, *self.series)), rng))
            return path
        series = folder / "series"
        series.mkdir()
        data = list(self.series) + [self.frames] * (rng.random() < 0.1)
        at = rng.randrange(len(data))
        data[at] = self._damaged(data[at], rng)
        for number, one in enumerate(data[: rng.choice((1, 2, 3, 9))]):
            (series / rng.choice((f"IM{number}", f"{number}.dcm", f"a.{number}"))).write_bytes(one)
        (series / "notes.txt").write_text("none")
        return folder / rng.choice(("series", "series", "series#1", "series#99999999999999999999", "series#0"))

    def _damaged(self, data: bytes, rng: Random) -> bytes:
        deed = rng.random()
        if deed < 0.5:
            return mutate(data, rng, other=self.frames)
        if deed < 0.8:
            return self._edited(data, rng)
        if deed < 0.9:
            return self._deflated(data, rng)
        # a sequence in a sequence in a sequence
        nested = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
            "<HHI", 0xFFFE, 0xE000, 2**32 - 1
        )
        return data[: data.index(b"DICM") + 4] + nested * rng.choice((10, 3000))

    def _edited(self, data: bytes, rng: Random) -> bytes:
        """Elements with any value, written as they are."""
        import io

        from pydicom import config, dcmread
        from pydicom.dataelem import DataElement

        dataset = dcmread(io.BytesIO(data))
        previous, config.settings.writing_validation_mode = config.settings.writing_validation_mode, config.IGNORE
        try:
            for _ in range(rng.randint(1, 3)):
                keyword = rng.choice(_KEYWORDS)
                if rng.random() < 0.2:
                    dataset.pop(keyword, None)
                    continue
                text = rng.choice(
                    (*map(str, NUMBERS), *TEXTS[:40], "nan", "1e400", "1\\2\\3", "0\\0\\0\\0\\0\\0", "10000000000")
                )
                kind = rng.choice(("LO", "UN", "UT", "IS", "DS"))
                value = text.encode("utf-8", "surrogatepass") if kind == "UN" else text
                from pydicom.datadict import tag_for_keyword

                dataset[keyword] = DataElement(tag_for_keyword(keyword), kind, value, validation_mode=config.IGNORE)
            if rng.random() < 0.4:
                dataset.file_meta.TransferSyntaxUID = UID(rng.choice(_SYNTAXES))
            if rng.random() < 0.4:
                dataset.Rows = dataset.Columns = rng.choice((0, 1, 1000, 40_000, 65_535))
            file = io.BytesIO()
            dataset.save_as(file, enforce_file_format=False)
        finally:
            config.settings.writing_validation_mode = previous
        return file.getvalue()

    def _deflated(self, data: bytes, rng: Random) -> bytes:
        """The deflated transfer syntax, with as many zeros behind the elements as they come."""
        old, new = b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.1.99"
        at = data.index(old)
        meta = data[: at - 2] + struct.pack("<H", len(new)) + new
        length = struct.unpack("<I", data[140:144])[0] + len(new) - len(old)
        meta = meta[:140] + struct.pack("<I", length) + meta[144:]
        rest = data[at + len(old) :]
        start = 144 + length - len(meta)
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = packer.compress(rest[start:]) + packer.flush(zlib.Z_FULL_FLUSH)
        return meta + rest[:start] + packed + rng.choice((b"", self.zeros, self.zeros * 40))

    def read(self, path: Path) -> None:
        from scanproof.data.readers import volume_reader_of

        reader = volume_reader_of(path)
        reader.contents(path)
        reader.header(path)
        reader.read(path)
