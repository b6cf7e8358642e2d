"""Synthetic imaging data: the same bytes on every machine, made once and kept.

Kept in ``$WILLIS_LAB_DATA``, else ``~/.cache/willis/data``. Nobody's images and nobody's
names: patients are called ``LAB^ONE``. Sizes: CT 525 KB a slice (500 slices 263 MB),
tomosynthesis 493 MB, MR 132 KB an image.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
)

_SEED = 20260101
_RECIPE = 1
"""Part of each directory's name: a changed recipe makes new data."""

Pixels = npt.NDArray[np.int16] | npt.NDArray[np.uint16]


def home() -> Path:
    """Where the data is kept."""
    named = os.environ.get("WILLIS_LAB_DATA")
    return Path(named).absolute() if named else Path.home() / ".cache" / "willis" / "data"


def ct(slices: int = 500) -> list[Path]:
    """The files of one CT study of a head: one series of 512 x 512 slices (1 to 2,000)."""
    return _kept(f"ct-{slices}", lambda where: _write_ct(where, slices))


def tomosynthesis(frames: int = 47) -> list[Path]:
    """One Breast Tomosynthesis object with frames of 2560 x 2048 (1 to 100)."""
    return _kept(f"tomo-{frames}", lambda where: _write_tomosynthesis(where, frames))


def mr(study: int = 0, images: int = 10) -> list[Path]:
    """The files of a small MR study, 256 x 256; each number is another study and patient."""
    return _kept(f"mr-{study}-{images}", lambda where: _write_mr(where, study, images))


def digest(path: Path) -> str:
    """SHA-256 of the pixel data of a file, as a DICOM piece writes it into its ledger."""
    from pydicom import dcmread

    return hashlib.sha256(dcmread(path).PixelData).hexdigest()


def _kept(name: str, write: Callable[[Path], None]) -> list[Path]:
    """The files of a data set; it appears whole or not at all."""
    where = home() / f"{name}-v{_RECIPE}"
    if not where.is_dir():
        home().mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=home()))
        try:
            write(fresh)
            fresh.rename(where)
        except OSError:
            if not where.is_dir():
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return sorted(where.glob("*.dcm"))


def _write_ct(where: Path, slices: int) -> None:
    """Two ellipsoids, skull and brain, in air, with noise (Hounsfield units)."""
    random = np.random.default_rng(_SEED)
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    for number, z in enumerate(np.linspace(-1, 1, slices), 1):
        image = np.full((512, 512), -1000.0)
        image[(x / 0.75) ** 2 + (y / 0.9) ** 2 + z**2 <= 1] = 1000
        image[(x / 0.68) ** 2 + (y / 0.83) ** 2 + (z / 0.93) ** 2 <= 1] = 40
        image += random.normal(0, 12, image.shape)
        dataset = _dataset(CTImageStorage, "CT", f"ct-{slices}", number, "LAB^ONE", "LAB0001")
        dataset.RescaleIntercept, dataset.RescaleSlope = "0", "1"
        dataset.ImagePositionPatient = ["-256", "-256", f"{number}"]
        _save(dataset, image.astype(np.int16), where / f"ct{number:04}.dcm")


def _write_tomosynthesis(where: Path, frames: int) -> None:
    """One image of noise, rolled by 17 columns a frame."""
    image = np.random.default_rng(_SEED).integers(0, 4096, (2560, 2048), dtype=np.uint16)
    stack = np.stack([np.roll(image, 17 * number, axis=1) for number in range(frames)])
    dataset = _dataset(BreastTomosynthesisImageStorage, "MG", f"tomo-{frames}", 1, "LAB^TWO", "LAB0002")
    dataset.NumberOfFrames = str(frames)
    _save(dataset, stack, where / "tomo.dcm")


def _write_mr(where: Path, study: int, images: int) -> None:
    random = np.random.default_rng([_SEED, study])
    for number in range(1, images + 1):
        image = random.integers(0, 1024, (256, 256), dtype=np.int16)
        name, identity = f"LAB^MR{study:03}", f"LAB1{study:03}"
        dataset = _dataset(MRImageStorage, "MR", f"mr-{study}-{images}", number, name, identity)
        _save(dataset, image, where / f"mr{number:04}.dcm")


def _dataset(sop_class: str, modality: str, study: str, number: int, name: str, identity: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = _uid(study, str(number))
    dataset.StudyInstanceUID = _uid(study, "study")
    dataset.SeriesInstanceUID = _uid(study, "series")
    dataset.PatientName, dataset.PatientID = name, identity
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.StudyDate, dataset.StudyTime = "20260101", "080000"
    dataset.StudyID, dataset.AccessionNumber = "1", ""
    dataset.ReferringPhysicianName = ""
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = modality, "1", str(number)
    return dataset


def _save(dataset: Dataset, pixels: Pixels, path: Path) -> None:
    """Explicit VR little endian with preamble and file meta group (PS3.10)."""
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, int(pixels.dtype == np.int16)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    dcmwrite(path, dataset, enforce_file_format=True)


def _uid(*parts: str) -> str:
    """A UUID-like UID (PS3.5 B.2) that is the same each time; 44 characters at most."""
    return f"2.25.{int.from_bytes(hashlib.sha256('/'.join(parts).encode()).digest()[:16])}"


_HL7 = {
    "ADT": (
        "ADT^A08^ADT_A01",
        "EVN|A08|20260101080000",
        "PID|1||LAB0001^^^LAB^MR||LAB^ONE||19700101|O",
        "PV1|1|I|WARD^1^1|||||||||||||||||V0001",
    ),
    "ORM": (
        "ORM^O01^ORM_O01",
        "PID|1||LAB0001^^^LAB^MR||LAB^ONE||19700101|O",
        "PV1|1|I|WARD^1^1",
        "ORC|NW|ORD0001|||SC",
        "OBR|1|ORD0001||CTHEAD^CT head^LAB|||20260101080000",
    ),
    "ORU": (
        "ORU^R01^ORU_R01",
        "PID|1||LAB0001^^^LAB^MR||LAB^ONE||19700101|O",
        "OBR|1|ORD0001||CTHEAD^CT head^LAB|||20260101080000||||||||||||||||||F",
        "OBX|1|TX|REPORT^Report^LAB||A synthetic head without findings.||||||F",
    ),
}


def hl7_message(kind: str, control: str) -> str:
    """An ADT, ORM or ORU message (HL7 2.5.1) with ``control`` as its MSH-10; segments end in CR."""
    event, *segments = _HL7[kind]
    head = f"MSH|^~\\&|LABRIS|LAB|WILLIS|LAB|20260101080000||{event}|{control}|T|2.5.1"
    return "\r".join((head, *segments)) + "\r"


def hl7_numbered(count: int, prefix: str = "LAB") -> Iterator[str]:
    """``count`` messages, ADT, ORM and ORU in turn, with the control ids PREFIX000001 and on."""
    kinds = tuple(_HL7)
    for number in range(1, count + 1):
        yield hl7_message(kinds[number % len(kinds)], f"{prefix}{number:06}")
