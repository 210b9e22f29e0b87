"""NIfTI files and single images."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from pathlib import Path
from random import Random

import numpy as np

from fuzz.mutate import FLOATS, LARGE, NUMBERS, mutate

#: fields of a NIfTI-1 header: offset, struct code, count
_NIFTI1 = {
    "sizeof_hdr": (0, "i", 1),
    "dim": (40, "h", 8),
    "datatype": (70, "h", 1),
    "bitpix": (72, "h", 1),
    "pixdim": (76, "f", 8),
    "vox_offset": (108, "f", 1),
    "scl_slope": (112, "f", 1),
    "scl_inter": (116, "f", 1),
    "xyzt_units": (123, "B", 1),
    "qform_code": (252, "h", 1),
    "sform_code": (254, "h", 1),
    "quatern": (256, "f", 6),
    "srow": (280, "f", 12),
    "magic": (344, "B", 4),
    "extension": (348, "B", 4),
    "extension_size": (352, "i", 2),
}
_NIFTI2 = {
    "sizeof_hdr": (0, "i", 1),
    "magic": (4, "B", 8),
    "datatype": (12, "h", 1),
    "dim": (16, "q", 8),
    "pixdim": (104, "d", 8),
    "vox_offset": (168, "q", 1),
    "scl_slope": (176, "d", 1),
    "srow": (400, "d", 12),
    "extension": (540, "B", 4),
    "extension_size": (544, "i", 2),
}
_TYPES = (2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304, 0, 1, 255, -1)


def nifti(shape: tuple[int, ...] = (6, 5, 4), kind: str = "<i2", *, second: bool = False) -> bytes:
    """A small valid volume."""
    import nibabel as nib

    values = (np.arange(np.prod(shape)) % 97 + 1).reshape(shape).astype(kind)
    image = (nib.Nifti2Image if second else nib.Nifti1Image)(values, np.diag([1.0, 1.5, 2.0, 1.0]))
    return bytes(image.to_bytes())


def put(data: bytes, offset: int, code: str, value: float, order: str = "<") -> bytes:
    """A number written over bytes; whole numbers are cut to what fits."""
    size = struct.calcsize(code)
    if code in "fd":
        try:
            packed = struct.pack(order + code, value)
        except OverflowError:
            packed = struct.pack(order + code, float("inf"))
    else:
        packed = (int(value) % (1 << 8 * size)).to_bytes(size, "little" if order == "<" else "big")
    return data[:offset] + packed + data[offset + size :]


class Nifti:
    """NIfTI-1 and -2, plain, compressed or in pairs."""

    def __init__(self, base: Path) -> None:
        self.valid = [nifti(), nifti(kind=">f4"), nifti((5, 6)), nifti((4, 4, 3, 1), "<f8"), nifti(kind="<u1")]
        self.zeros = bomb(b"", 2**25)
        self.second = [nifti(second=True), nifti((4, 4, 3), "<f8", second=True)]

    def make(self, rng: Random, folder: Path) -> Path:
        second = rng.random() < 0.25
        data = rng.choice(self.second if second else self.valid)
        deed = rng.random()
        if deed < 0.55:
            fields = _NIFTI2 if second else _NIFTI1
            for _ in range(rng.randint(1, 4)):
                name = rng.choice(list(fields))
                offset, code, count = fields[name]
                at = offset + rng.randrange(count) * struct.calcsize(code)
                value: float = rng.choice(FLOATS) if code in "fd" else rng.choice((*NUMBERS, *LARGE))
                value = rng.choice(_TYPES) if name == "datatype" else value
                data = put(data, at, code, value, rng.choice("<<<<>"))
        elif deed < 0.85:
            data = mutate(data, rng, other=rng.choice(self.valid))
        return self._written(data, rng, folder)

    def _written(self, data: bytes, rng: Random, folder: Path) -> Path:
        suffix = rng.choice((".nii", ".nii", ".nii.gz", ".nii.gz", ".hdr", ".img"))
        path = folder / f"input{suffix}"
        if suffix in (".hdr", ".img"):
            (folder / "input.hdr").write_bytes(put(put(data, 108, "f", 0.0), 344, "i", 0x00316E69)[:352])
            if rng.random() < 0.9:
                (folder / "input.img").write_bytes(data[352:])
        elif suffix == ".nii":
            path.write_bytes(data)
        else:
            path.write_bytes(self._compressed(data, rng))
        return path

    def _compressed(self, data: bytes, rng: Random) -> bytes:
        deed = rng.random()
        if deed < 0.3:
            return mutate(gzip.compress(data), rng)
        if deed < 0.4:  # long after its voxels
            return gzip.compress(data + bytes(10**4), 1) if rng.random() < 0.5 else gzip.compress(data) + self.zeros
        if deed < 0.45:  # a volume of zeros as large as its header says
            header = nifti((1, 1, 1), "<i2")[:352]
            for axis, size in enumerate(rng.choice(((256, 256, 120), (512, 512, 300), (700, 700, 700)))):
                header = put(header, 42 + 2 * axis, "h", size)
            return gzip.compress(header) + self.zeros
        if deed < 0.5:  # an extension as large as everything
            header = put(put(data, 108, "f", 2.0**28), 348, "i", 1)[:352] + struct.pack("<ii", 2**28 - 368, 6)
            return gzip.compress(header) + self.zeros * 8
        if deed < 0.55:
            return b"".join(gzip.compress(data[k : k + 7]) for k in range(0, len(data), 7)) + gzip.compress(b"") * 300
        return gzip.compress(data, rng.choice((0, 1, 9)))

    def read(self, path: Path) -> None:
        from scanproof.data.readers import volume_reader_of

        reader = volume_reader_of(path)
        reader.contents(path)
        reader.header(path)
        reader.read(path)


def bomb(head: bytes, size: int) -> bytes:
    """gzip of a beginning and of as many zeros, made without holding them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(head)]
    block = bytes(2**20)
    parts += [packer.compress(block) for _ in range(size // len(block) + 1)]
    return b"".join([*parts, packer.flush()])


class Image:
    """PNG, JPEG and TIFF."""

    def __init__(self, base: Path) -> None:
        self.valid: list[tuple[str, bytes]] = []
        grey = np.add.outer(np.arange(24), np.arange(20)).astype(np.uint8) * 4 + 1
        arrays: list[np.ndarray] = [grey, grey.astype(np.uint16) * 200, np.stack([grey] * 3, axis=-1)]
        for array in (*arrays, grey.astype(np.float32), grey.astype(np.int32), grey > 50):
            for name, suffix in (("PNG", ".png"), ("JPEG", ".jpg"), ("TIFF", ".tif")):
                for options in ({}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}):
                    if name == "TIFF" or not options:
                        self._add(array, name, suffix, options)
        self.bombs = [bomb(b"", size)[10:-8] for size in (100, 2**22, 2**25)]
        self.text = zlib.compress(bytes(2**23))
        self._add(grey, "TIFF", ".tiff", {"save_all": True, "append_images": [self._image(grey)] * 3})

    def _add(self, array: np.ndarray, name: str, suffix: str, options: dict[str, object]) -> None:
        file = io.BytesIO()
        try:
            self._image(array).save(file, format=name, **options)
        except (OSError, ValueError):
            return  # a format without this kind of pixel
        self.valid.append((suffix, file.getvalue()))

    @staticmethod
    def _image(array: np.ndarray):
        from PIL import Image as Pillow

        return Pillow.fromarray(array)

    def make(self, rng: Random, folder: Path) -> Path:
        suffix, data = rng.choice(self.valid)
        other = rng.choice(self.valid)[1]
        deed = rng.random()
        if deed < 0.5:
            data = mutate(data, rng, other=other)
        elif deed < 0.75 and suffix == ".png":
            data = self._png(rng)
        elif deed < 0.75 and suffix.startswith(".tif"):
            data = self._tiff(data, rng)
        elif deed < 0.8:
            suffix = rng.choice((".png", ".JPG", ".tiff", ".jpeg"))
        path = folder / f"input{suffix}"
        path.write_bytes(data)
        return path

    def _png(self, rng: Random) -> bytes:
        """Chunks with true checksums and whatever in them."""
        sizes = (0, 1, 20, 8000, 8193, 20_000, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
        wide, high = rng.choice(sizes), rng.choice(sizes)
        depth, colour = rng.choice((1, 2, 4, 8, 16, 3)), rng.choice((0, 0, 2, 3, 4, 6, 9))
        header = struct.pack(">IIBBBBB", wide, high, depth, colour, rng.choice((0, 0, 1)), 0, rng.choice((0, 0, 1)))
        pixels = b"x\x9c" + rng.choice(self.bombs) if rng.random() < 0.3 else zlib.compress(bytes(500))
        text = self.text
        extra = rng.choice(
            ((b"zTXt", b"a\0\0" + text), (b"iCCP", b"a\0\0" + text), (b"tEXt", b"a\0b"), (b"eXIf", b"II"))
        )
        chunks = [(b"IHDR", header), extra, (b"IDAT", pixels), (b"IEND", b"")]
        if rng.random() < 0.3:
            rng.shuffle(chunks)
        made = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
        return b"\x89PNG\r\n\x1a\n" + b"".join(made)

    def _tiff(self, data: bytes, rng: Random) -> bytes:
        """Entries of the directory changed, and directories that name themselves."""
        start = struct.unpack("<I", data[4:8])[0]
        if start + 2 > len(data):
            return data
        count = struct.unpack("<H", data[start : start + 2])[0]
        for _ in range(rng.randint(1, 3)):
            entry = start + 2 + 12 * rng.randrange(max(1, count))
            offset, code = rng.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "H")))
            data = put(data, entry + offset, code, rng.choice((*NUMBERS, 256, 257, 258, 273, 322, start)))
        if rng.random() < 0.3:
            data = put(data, start + 2 + 12 * count, "I", rng.choice((start, 0, 8, 2**31)))
        return data

    def read(self, path: Path) -> None:
        from scanproof.data.readers import reader_of

        reader = reader_of(path)
        reader.header(path)
        reader.read(path)  # type: ignore[attr-defined]
