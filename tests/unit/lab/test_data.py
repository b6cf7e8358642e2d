"""The synthetic data: made once, the same each time, and real DICOM and HL7."""

from __future__ import annotations

from pathlib import Path

import hl7
import pytest
from pydicom import dcmread

from willis.lab import data


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WILLIS_LAB_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_a_ct_is_one_study_of_distinct_slices() -> None:
    slices = [dcmread(path) for path in data.ct(3)]
    assert len({each.StudyInstanceUID for each in slices}) == 1
    assert len({each.SOPInstanceUID for each in slices}) == 3
    assert (slices[1].Rows, slices[1].Columns, len(slices[1].PixelData)) == (512, 512, 512 * 512 * 2)
    assert 900 < slices[1].pixel_array.max() < 1100


def test_the_same_data_comes_out_on_every_machine(home: Path) -> None:
    first = [data.digest(path) for path in data.mr(7, 2)]
    (home / "mr-7-2-v1").rename(home / "elsewhere")
    assert [data.digest(path) for path in data.mr(7, 2)] == first


def test_data_is_made_once(home: Path) -> None:
    made = data.mr(0, 1)[0].stat().st_mtime_ns
    assert data.mr(0, 1)[0].stat().st_mtime_ns == made
    assert [entry.name for entry in home.iterdir()] == ["mr-0-1-v1"]


def test_tomosynthesis_is_one_object_of_many_frames() -> None:
    (path,) = data.tomosynthesis(2)
    found = dcmread(path)
    assert (found.NumberOfFrames, found.Rows, found.Columns) == (2, 2560, 2048)


def test_numbered_messages_are_hl7_with_control_ids_of_their_own() -> None:
    messages = [hl7.parse(text) for text in data.hl7_numbered(1000)]
    assert len({str(message["MSH.F10"]) for message in messages}) == 1000
    assert {str(message.segment("MSH")(9)).split("^")[0] for message in messages} == {"ADT", "ORM", "ORU"}
