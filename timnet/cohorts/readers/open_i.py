"""Open-i, the Indiana University chest X-rays: 3,851 reports as two tables, or 3,955 as one XML file each.

Owns both layouts and the several names of one film (`1_IM-0001-4001.dcm.png` is `CXR1_1_IM-0001-4001.png`). A
report whose films are not on this disk comes in alone, to be searched; its films are named as missing. The
`XXXX` of the anonymisation stay. Refuses XML with a document type, so that no entity is ever expanded.
Source: Demner-Fushman et al., JAMIA 23(2), 2016; openi.nlm.nih.gov.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from timnet.cohorts.paths import read_inside
from timnet.cohorts.readers import archives, on_disk, tables
from timnet.cohorts.readers import cells as meaning
from timnet.cohorts.records import CohortError, FilmRecord, PathError, Skipped, StudyRecord
from timnet.cohorts.tasks import NO_FINDING

SOURCE = "open_i"
REPORTS, PROJECTIONS, XML = "indiana_reports.csv", "indiana_projections.csv", "ecgen-radiology"
MAX_XML = 2**20
_FILM_FOLDERS = ("", "images", "images_normalized", "images/images_normalized", "NLMCXR_png", "png")
_SECTIONS = ("indication", "comparison", "findings", "impression")
_NAME = re.compile(r"(?:CXR)?(\d+)_(?:\1_)?(IM-.+)", re.IGNORECASE)
_NORMAL, _NOT_INDEXED = "normal", {"", "no indexing"}


@dataclass(frozen=True)
class _Films:
    """The films on this disk: by the name of a listed one, and by the study that a name begins with."""

    by_name: Mapping[str, str]
    by_study: Mapping[str, Sequence[str]]


def read(root: Path, *, notes: list[str] | None = None) -> Iterator[StudyRecord | Skipped]:
    """Yield one study a report, a patient each, with the films that are there; name those that are not.

    Args:
        root: the folder that holds indiana_reports.csv and indiana_projections.csv, or ecgen-radiology.
        notes: gets what is to be known of the tables, complete once the last study is out.

    Raises:
        CohortError: neither is there, or a table lacks a column.
    """
    path = tables.one_of(root, (REPORTS, f"{REPORTS}.gz"))
    xml = next((folder for folder in (root / XML, root) if any(folder.glob("*.xml"))), None)
    if path is not None:
        yield from _read_tables(root, path, [] if notes is None else notes)
    elif xml is not None:
        yield from _read_xml(root, xml)
    else:
        raise archives.missing(SOURCE, root, f"{REPORTS} or a folder {XML}")


def _read_tables(root: Path, path: Path, notes: list[str]) -> Iterator[StudyRecord | Skipped]:
    reports = tables.open_table(path, ("uid", *_SECTIONS))
    listed: dict[str, list[tuple[str, str | None]]] = {}
    projections = tables.one_of(root, (PROJECTIONS, f"{PROJECTIONS}.gz"))
    if projections is None:
        raise CohortError(f"open_i: expected {PROJECTIONS} beside {REPORTS}, found none")
    table = tables.open_table(projections, ("uid", "filename", "projection"))
    notes += (*reports.notes, *table.notes)

    def list_film(cells: dict[str, str]) -> None:
        film = cells["filename"].strip(), meaning.view(cells["projection"])
        listed.setdefault(cells["uid"].strip(), []).append(film)

    yield from tables.gather(table, "filename", list_film)
    films, seen = _films(root), set[str]()

    def take(cells: dict[str, str]) -> Iterator[StudyRecord | Skipped]:
        uid = _new_uid(cells["uid"].strip(), seen)
        text = _report({name: cells[name] for name in _SECTIONS}, cells.get("image", ""))
        return _study(uid, text, [cells.get("MeSH", "")], listed.pop(uid, []), films)

    for found in tables.gather(reports, "uid", take):
        yield from (found,) if isinstance(found, Skipped) else found
    for uid in listed:
        yield Skipped(f"uid {uid[:40]}", "films without a report")


def _new_uid(uid: str, seen: set[str]) -> str:
    """Return a report's number, which becomes one of those `seen`; RowError where it is none or repeated."""
    if not uid.isdecimal() or uid in seen:
        raise meaning.RowError("report is listed twice" if uid in seen else "uid is no number")
    seen.add(uid)
    return uid


def _read_xml(root: Path, folder: Path) -> Iterator[StudyRecord | Skipped]:
    films, seen = _films(root), set[str]()
    # By number: 2.xml comes before 10.xml.
    for path in sorted(folder.glob("*.xml"), key=lambda path: (len(path.stem), path.stem)):
        try:
            tree = _tree(read_inside(folder.resolve(), path.name, MAX_XML))
            stated = tree.find("uId")
            uid = stated.get("id", "") if stated is not None else path.stem
            uid = _new_uid(uid.upper().removeprefix("CXR"), seen)
        except (PathError, meaning.RowError) as error:
            yield Skipped(path.name, str(error).replace("film", "report"))
            continue
        said = {
            str(each.get("Label")).lower(): "".join(each.itertext()) for each in tree.iter("AbstractText")
        }
        images = list(tree.iter("parentImage"))
        caption = next((each.findtext("caption", "") for each in images), "")
        listed = [(str(each.get("id")), None) for each in images]
        headings = [each.text or "" for each in tree.iter("major")]
        yield from _study(uid, _report(said, caption), headings, listed, films)


def _study(
    uid: str,
    report: str,
    headings: Sequence[str],
    listed: Sequence[tuple[str, str | None]],
    films: _Films,
) -> Iterator[StudyRecord | Skipped]:
    """Yield the study and the films listed for it that are not on this disk."""
    found: dict[str, str | None] = {}
    for name, view in listed:
        path = films.by_name.get(_key(name))
        if path is None:
            yield Skipped(name[:120], "film is missing")
        else:
            found.setdefault(path, view)
    # Some copies number a study's films anew: they are known by the study alone, and their view is not.
    for path in films.by_study.get(uid, ()):
        found.setdefault(path, None)
    yield StudyRecord(
        study=uid,
        patient=uid,
        report=report,
        films=tuple(FilmRecord(path, view) for path, view in found.items()),
        labels={NO_FINDING: _no_finding(headings)},
        split=None,
    )


def _no_finding(headings: Sequence[str]) -> float:
    """Return 1 where the indexers' headings say normal, 0 where they say something else, nan for none."""
    said = {heading.strip().casefold() for heading in headings} - _NOT_INDEXED
    return float(said == {_NORMAL}) if said else math.nan


def _report(sections: Mapping[str, str], examination: str) -> str:
    parts = {"EXAMINATION": examination} | {name.upper(): sections.get(name, "") for name in _SECTIONS}
    return "\n\n".join(f"{header}: {text.strip()}" for header, text in parts.items() if text.strip())


def _tree(data: bytes) -> ElementTree.Element:
    """Return a document's root element; RowError where it is not read."""

    def refuse(*_: object) -> None:
        raise meaning.RowError("report has a document type")

    builder, parser = ElementTree.TreeBuilder(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
    except meaning.RowError:  # of `refuse`
        raise
    except (expat.ExpatError, LookupError, ValueError):
        raise meaning.RowError("report is no XML") from None
    return builder.close()


def _films(root: Path) -> _Films:
    by_name: dict[str, str] = {}
    by_study: dict[str, list[str]] = {}
    for path in on_disk.pictures(root / folder for folder in _FILM_FOLDERS):
        key = _key(path.name)
        if path.is_file() and key not in by_name:
            by_name[key] = path.relative_to(root).as_posix()
            if named := _NAME.fullmatch(key):
                by_study.setdefault(named[1], []).append(by_name[key])
    return _Films(by_name, by_study)


def _key(name: str) -> str:
    """Return what every name of one film has in common: the study's number and the film's."""
    stem = re.sub(r"(\.dcm)?(\.png|\.jpe?g)?$", "", name.strip(), flags=re.IGNORECASE)
    named = _NAME.fullmatch(stem)
    return f"{named[1]}_{named[2]}" if named else stem


def _depends(root: Path) -> list[Path | None]:
    return [tables.one_of(root, (f"{name}*",)) for name in (REPORTS, PROJECTIONS)]


run = archives.importer(SOURCE, read, _depends, lambda root: len(_films(root).by_name))
"""Import the reports and films below a folder as a cohort; errors as for `read`."""
