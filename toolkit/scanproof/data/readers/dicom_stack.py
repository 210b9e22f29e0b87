"""Frames to a volume: their order, and where the volume lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scanproof.data.readers.dicom_frames import Frame
from scanproof.errors import ScanproofError

#: slices closer than this lie in one place, in mm
SAME_PLACE = 0.01
#: by how much distances of slices may differ from their median, relatively; and directions, in their components
TOLERANCE, TURN = 0.02, 1e-3


def stack(frames: Sequence[Frame], *, place: Path) -> tuple[list[Frame], np.ndarray]:
    """The order of a series' frames along their normal, and the volume's affine.

    Distances are those of the slices' positions, not what the header says of thickness. A slice that is missing at
    either end of a volume cannot be seen.

    Args:
        frames: in any order.
        place: file or folder, for errors.

    Returns:
        The frames from the lowest to the highest along the normal (direction of columns × direction of rows), and the
        affine, float64 (4, 4), from (row, column, frame) to mm in left-posterior-superior order.

    Raises:
        ScanproofError: frames that are no magnitudes, are there twice, differ in size or direction, do not lie behind
            each other, at uneven distances, or several in each place.
    """
    _check_alike(frames, place)
    first = frames[0]
    column, row = np.array(first.orientation).reshape(2, 3)
    if abs(column @ row) > TURN or max(abs(np.linalg.norm([column, row], axis=1) - 1)) > TURN:
        rule = "must be two unit vectors at right angles"
        raise ScanproofError(rule, file=first.file, key="ImageOrientationPatient", value=list(first.orientation))
    normal = np.cross(column, row)
    places = np.array([frame.position for frame in frames])
    heights = places @ normal
    order = np.argsort(heights, kind="stable")
    frames, places, heights = [frames[k] for k in order], places[order], heights[order]
    _check_one_volume(frames, heights, place)
    aside = np.abs((places - places[0]) @ np.stack([column, row], axis=1)).max()
    if aside > 0.5 * min(first.spacing):
        rule = "slices must lie straight behind each other"
        raise ScanproofError(rule, file=place, key="ImagePositionPatient", value=f"{aside:.3g} mm aside")
    affine = np.eye(4)
    affine[:3, 0] = row * first.spacing[0]
    affine[:3, 1] = column * first.spacing[1]
    affine[:3, 2] = _step(frames, places, heights, normal, place)
    affine[:3, 3] = places[0]
    return frames, affine


def _check_alike(frames: Sequence[Frame], place: Path) -> None:
    """Magnitudes of one size, spacing and direction, each there once."""
    other = [frame.part for frame in frames if frame.part != "magnitude"]
    if other:
        value = f"{other[0]} in {len(other)} of {len(frames)} images"
        hint = None if len(other) == len(frames) else "leave only the magnitude images in the folder"
        raise ScanproofError("images must be magnitudes", file=place, key="ImageType", value=value, hint=hint)
    seen: dict[tuple[str, int], Frame] = {}
    for frame in frames:
        twin = seen.setdefault((frame.uid, frame.index), frame)
        if twin is not frame:
            twins = [twin.file.name, frame.file.name]
            raise ScanproofError("each image must be there once", file=place, key="SOPInstanceUID", value=twins)
    first = frames[0]
    for frame in frames:
        if frame.shape != first.shape:
            rule = f"images of a series must have one size, {first.shape} as in {first.file.name}"
            raise ScanproofError(rule, file=frame.file, key="Rows and Columns", value=frame.shape)
        if not np.allclose(frame.spacing, first.spacing, rtol=1e-3):
            rule = f"images of a series must have one pixel size, {list(first.spacing)} as in {first.file.name}"
            raise ScanproofError(rule, file=frame.file, key="PixelSpacing", value=list(frame.spacing))
    directions = np.array([frame.orientation for frame in frames])
    if not np.allclose(directions, directions[0], rtol=0, atol=TURN):
        value = f"{len(np.unique(directions.round(2), axis=0))} directions"
        hint = "localizers of several planes cannot be read as one volume"
        rule = "slices must be parallel"
        raise ScanproofError(rule, file=place, key="ImageOrientationPatient", value=value, hint=hint)


def _check_one_volume(frames: Sequence[Frame], heights: np.ndarray, place: Path) -> None:
    """One frame in each place."""
    starts = np.flatnonzero(np.diff(heights, prepend=-np.inf) > SAME_PLACE)
    counts = np.diff(starts, append=len(heights))
    if (counts == 1).all():
        return
    key = "ImagePositionPatient"
    if (counts != counts[0]).any():
        least, most = int(counts.min()), int(counts.max())
        value = f"{least} in some places, {most} in others"
        hint = "images may be missing, or belong to several volumes"
        raise ScanproofError("each place must have one image", file=place, key=key, value=value, hint=hint)
    echoes = {frame.echo_time for frame in frames}
    what = f"of {len(echoes)} echo times" if len(echoes) > 1 else "time points, directions of diffusion or repetitions"
    value = f"{counts[0]} volumes of {len(counts)} slices"
    hint = f"{what}: leave the files of one volume in the folder"
    if len({frame.file for frame in frames}) == 1:
        hint = f"{what}: convert them to one NIfTI file each, for example with dcm2niix"
    raise ScanproofError("series must hold one volume", file=place, key=key, value=value, hint=hint)


def _step(
    frames: Sequence[Frame], places: np.ndarray, heights: np.ndarray, normal: np.ndarray, place: Path
) -> np.ndarray:
    """From one slice to the next, mm."""
    if len(frames) == 1:
        thickness = frames[0].thickness
        if thickness is None or thickness <= 0:
            raise ScanproofError("must be given for a single slice", file=place, key="SliceThickness")
        return np.asarray(normal * thickness)
    distances = np.diff(heights)
    usual = float(np.median(distances))
    uneven = np.abs(distances / usual - 1) > TOLERANCE
    if uneven.any():
        k = int(uneven.argmax())
        ratio = float(distances[k]) / usual
        missing = round(ratio) - 1
        hint = None
        if missing > 0 and abs(ratio - round(ratio)) < TOLERANCE * ratio:
            hint = "1 slice is missing there" if missing == 1 else f"{missing} slices are missing there"
        raise ScanproofError(
            f"slices must be equally far apart ({usual:.4g} mm)",
            file=place,
            key=f"slices {k + 1} and {k + 2} of {len(frames)}, {frames[k].file.name} and {frames[k + 1].file.name}",
            value=f"{distances[k]:.4g} mm",
            hint=hint,
        )
    return np.asarray((places[-1] - places[0]) / (len(frames) - 1))
