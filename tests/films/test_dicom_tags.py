"""DICOM tags on a page: technical values are seen, and nothing that could name a person."""

from pathlib import Path

import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from timnet.films import dicom_tags
from timnet.films.film import FilmError

MARK = "ZZPHI"
FILES = Path(pydicom.data.__file__).parent / "test_files"


def _written(dataset: Dataset, folder: Path) -> bytes:
    path = folder / "film.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path.read_bytes()


def _marked() -> Dataset:
    """A radiograph in which every text that is not technical holds a mark."""
    made = dcmread(FILES / "CT_small.dcm")
    for element in made:
        if element.keyword in dicom_tags.SHOWN or element.tag.is_private:
            continue
        if element.VR in ("PN", "LO", "SH", "LT", "ST", "UT"):
            element.value = MARK
    made.PatientName, made.PatientID, made.AccessionNumber = f"{MARK}^TEST", f"{MARK}1", MARK
    made.InstitutionName = made.StudyDescription = made.ImageComments = made.OperatorsName = MARK
    made.PatientBirthDate = made.StudyDate = "19010203"
    made.PatientAge = "093Y"
    block = made.private_block(0x0033, f"{MARK} MAKER", create=True)
    block.add_new(1, "LO", MARK)
    return made


def test_no_identifier_is_shown_and_technical_values_are(tmp_path: Path) -> None:
    made = _marked()
    told = dicom_tags.read(_written(made, tmp_path), "film.dcm")
    by_name = {tag.name: tag.value for tag in told}
    assert by_name["Rows"] == str(made.Rows) and by_name["Modality"] == "CT"
    assert by_name["Patient's Name"] == by_name["Study Date"] == by_name["Patient's Age"] == dicom_tags.HIDDEN
    shown = "\n".join(f"{tag.name} {tag.value}" for tag in told)
    assert MARK not in shown and "19010203" not in shown and str(made.SOPInstanceUID) not in shown
    assert {tag.value for tag in told if tag.name == "Private tag"} == {dicom_tags.HIDDEN}
    assert not any(
        element.VR in ("UI", "DA", "TM", "DT", "PN")
        for element in made
        if element.keyword in dicom_tags.SHOWN
    )


def test_deflated_files_are_refused() -> None:
    with pytest.raises(FilmError, match="deflated"):
        dicom_tags.read((FILES / "image_dfl.dcm").read_bytes(), "film.dcm")


def test_every_file_of_pydicom_is_listed_or_refused_in_one_sentence() -> None:
    read = 0
    for path in sorted(FILES.rglob("*.dcm")):
        try:
            read += bool(dicom_tags.read(path.read_bytes(), path.name))
        except FilmError as error:
            assert "\n" not in str(error)
    assert read > 50
