"""The commands that read X-rays, match and diagnose: one X-ray in the terminal, or many into a table."""

from __future__ import annotations

import io
import os
import time

from timnet import config, files, performance
from timnet.cli import arguments, output
from timnet.cli.output import Refused
from timnet.cli.progress import ProgressLine
from timnet.counting import counted


def read(request: arguments.Match | arguments.Diagnose) -> None:
    """Read what was asked for, as a match where there are findings."""
    if request.out is not None:
        return _several(request)
    # With it comes pandas, which one X-ray can do without.
    if not request.film.is_file() or request.film.suffix.lower() in (".csv", ".tsv"):
        from timnet.cohorts import listed

        if listed.is_several(request.film):
            raise Refused("out: expected --out FILE.csv, .parquet or .jsonl for several X-rays, got none")
    if isinstance(request, arguments.Diagnose):
        return _one(request, None)
    if request.findings is None:
        raise Refused("findings: expected --findings TEXT, got none")
    _one(request, _typed(request.findings))


def _several(request: arguments.Match | arguments.Diagnose) -> None:
    from timnet import batch, spreadsheet
    from timnet.cohorts import listed
    from timnet.reader import Reader

    assert request.out is not None
    if request.cam is not None:
        raise Refused("cam: expected one X-ray without --out, a map is of one")
    spreadsheet.writer(request.out)
    columns, findings, matched = (
        listed.Columns(request.film_column),
        None,
        isinstance(request, arguments.Match),
    )
    if isinstance(request, arguments.Match):
        columns = listed.Columns(request.film_column, request.findings_column, request.file_column)
        findings = request.findings
    listing = listed.of(request.film, findings, matched, columns)
    reader = Reader.load(request.checkpoint)
    line = ProgressLine("reading X-rays")
    try:
        done = batch.run(
            listing,
            reader,
            request.out,
            matched=matched,
            anyway=request.anyway,
            invert=request.invert,
            progress=line.done,
        )
    finally:
        line.end()
    fields = {"out": request.out.name, "x_rays": done.xrays, "refused": done.refused, "resumed": done.resumed}
    lines = [f"{counted(done.xrays, 'X-ray')} in {request.out.name}, {done.refused} of them refused"]
    lines += [f"went on behind {counted(done.resumed, 'X-ray')}"] if done.resumed else []
    lines += [reader.trust] if reader.trust else []
    output.show(fields, request.json, [*lines, config.RESEARCH_USE])


def _typed(text: str) -> str:
    """Return a text of the command line as it was typed: a C locale hands its letters on as bytes."""
    is_bytes = any("\udc80" <= letter <= "\udcff" for letter in text)
    return os.fsencode(text).decode("utf-8", "replace") if is_bytes else text


def _one(request: arguments.Match | arguments.Diagnose, findings: str | None) -> None:
    from timnet import legend
    from timnet.films import read as films
    from timnet.films import sandbox
    from timnet.films.film import LOOKS_INVERTED

    sandbox.prepare()
    from timnet.evaluation.calibration.record import MATCH
    from timnet.reader import Reader

    def worth(label: str) -> str:
        measured = performance.headline(reading.card, label)
        return f"(on real X-rays: auROC {performance.label_worth(reading.card, label)})" if measured else ""

    cam = request.cam
    if cam is not None and not (cam.parent.is_dir() and cam.suffix.lower() == ".png"):
        raise Refused(f"cam: expected a file ending in .png in a folder that exists, got {str(cam)[-200:]!r}")
    start = time.perf_counter()
    film = sandbox.read_untrusted(films.content(request.film), name=request.film.name, invert=request.invert)
    reader = Reader.load(request.checkpoint)
    seen = reader.see(film)
    if seen.doubt and not request.anyway:
        turned = "--invert reads it inverted, " if seen.doubt == LOOKS_INVERTED else ""
        raise Refused(f"{request.film.name}: {seen.doubt}; {turned}--anyway reads it all the same")
    reading = reader.read(seen, findings)
    if findings is not None:
        reading = reading.explained(reader.edited(seen, findings).edits)
    fields = {**reading.as_dict(), "seconds": round(time.perf_counter() - start, 3)}
    if reading.match is not None:
        over = "normal texts"
        name, lines = MATCH, [f"match probability {reading.match:.3f}", f"section read: {reading.section}"]
        lines += [f"  {probability:.3f}  {sentence}" for sentence, probability in reading.sentences]
        lines += [reading.long_text] if reading.long_text else []
        lines[1:1] = [reading.rank.sentence] if reading.rank else []
        lines[1:1] = [reading.trust, *([reading.explanation.sentence] if reading.explanation else [])]
    else:
        over = None
        name = max(reading.probabilities, key=lambda label: reading.probabilities[label])
        lines = [reading.trust] + [
            "  ".join(filter(None, (f"{probability:.3f}", label, reading.verdict(label), worth(label))))
            for label, probability in reading.probabilities.items()
        ]
        lines += [reading.too_weak] if reading.too_weak else []
    if cam is not None:
        picture = io.BytesIO()
        legend.picture(reading, name).save(picture, format="PNG")
        files.write_whole(cam, picture.getvalue())
        fields["cam"] = {"map": name, "over": over, "file": cam.name, "scale_logits": reading.map_scale}
    lines += [f"note: {note}" for note in film.notes]
    if reading.doubt:
        lines.append(f"read all the same: {reading.doubt}")
    output.show(fields, request.json, [*lines, config.RESEARCH_USE])
