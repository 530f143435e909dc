"""The command line read into the settings of one command: words -> a dataclass."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import tyro

from timnet import config, settings_file
from timnet.errors import TimnetError

if TYPE_CHECKING:
    from timnet.training.grids import Grid

Shape = TypeVar("Shape")


class Unusable(TimnetError):
    """Words that are no command; the message is tyro's own finding in one sentence."""


def parse(shape: type[Shape], command: str, words: list[str]) -> Shape:
    """Parse a command's words; help prints itself and ends with status 0.

    Raises:
        Unusable: unknown, missing or malformed words.
    """
    program = f"python -m timnet {command}"
    result = io.StringIO()
    try:
        with contextlib.redirect_stderr(result):
            request = tyro.cli(shape, prog=program, args=words)
    except SystemExit as ended:
        if ended.code == 0:
            raise
        raise Unusable(f"{_finding(result.getvalue())}; see {program} --help") from None
    if getattr(request, "cohorts", None) == ():
        raise Unusable(f"cohorts: expected at least one cohort, got none; see {program} --help")
    return request


def training(shape: type[config.Run], words: list[str]) -> tuple[config.Run, Path | None, bool, bool]:
    """Parse the settings of a training command, its --out, its --json and its --fresh.

    The numbers of the preset that the words name become the defaults, which other words override.
    """
    hints = get_type_hints(shape, include_extras=True)
    pretrains = issubclass(shape, config.Pretrain)
    positional = "cohorts" if pretrains else "cohort"
    fields: list[Any] = [(positional, Annotated[hints[positional], tyro.conf.Positional])]
    for name, number in settings_file.numbers(shape, _preset(words)).items():
        fields.append((name, hints[name], dataclasses.field(default=number)))
    out = tyro.conf.arg(help="Folder of the run; by default one named after its settings, in checkpoints/.")
    fields.append(("out", Annotated[Path | None, out], dataclasses.field(default=None)))
    as_json = tyro.conf.arg(help="Print one JSON object.")
    fields.append(("json", Annotated[bool, as_json], dataclasses.field(default=False)))
    fresh = tyro.conf.arg(help="Start anew where the run was stopped; without it, the run goes on.")
    fields.append(("fresh", Annotated[bool, fresh], dataclasses.field(default=False)))
    request = parse(_shaped(shape, fields), "pretrain" if pretrains else "finetune", words)
    settings = shape(**{field.name: getattr(request, field.name) for field in dataclasses.fields(shape)})
    return settings, request.out, request.json, request.fresh


def grid(words: list[str]) -> tuple[Grid, Path | None, bool, str | None]:
    """Parse the grid of the curve command, its --out, its --json and its --ray.

    It takes what fine-tuning takes, but several starts and shares, and a number of draws.
    """
    # With them come SciPy and pandas, which take longer to import than other commands need to start.
    from timnet.evaluation.label_efficiency.curve import FRACTIONS
    from timnet.training.grids import GRIDDED, Grid

    hints = get_type_hints(config.Finetune, include_extras=True)
    fields: list[Any] = [("cohort", Annotated[str, tyro.conf.Positional])]
    for name, number in settings_file.numbers(config.Finetune, _preset(words)).items():
        fields.append((name, hints[name], dataclasses.field(default=number)))
    for name in GRIDDED:
        # What a grid has several of cannot be said once.
        default = dataclasses.field(default=getattr(config.Finetune, name))
        fields.append((name, Annotated[hints[name], tyro.conf.Fixed, tyro.conf.Suppress], default))
    starts = tyro.conf.arg(help="Starts, each as of finetune's --initialisation.")
    fields.append(
        ("initialisations", Annotated[tuple[str, ...], starts], dataclasses.field(default=("base",)))
    )
    some = tyro.conf.arg(help="Shares of the labelled training films.")
    fields.append(("fractions", Annotated[tuple[float, ...], some], dataclasses.field(default=FRACTIONS)))
    draws = tyro.conf.arg(help="Draws of labels at each share: the seeds from 0 on.")
    fields.append(("seeds", Annotated[int, draws], dataclasses.field(default=5)))
    out = tyro.conf.arg(help="Parquet file; by default one named after the grid, in checkpoints/.")
    fields.append(("out", Annotated[Path | None, out], dataclasses.field(default=None)))
    as_json = tyro.conf.arg(help="Print one JSON object.")
    fields.append(("json", Annotated[bool, as_json], dataclasses.field(default=False)))
    at = tyro.conf.arg(
        help="Several runs at once by Ray (requirements-ray.txt): `local`, or the address of a cluster."
    )
    fields.append(("ray", Annotated[str | None, at], dataclasses.field(default=None)))
    shaped = _shaped(config.Finetune, fields)
    shaped.__doc__ = "Fine-tune from several starts on several shares of the labels and draws of them."
    request = parse(shaped, "curve", words)
    shared = config.Finetune(
        **{field.name: getattr(request, field.name) for field in dataclasses.fields(config.Finetune)}
    )
    wanted = Grid(shared, request.initialisations, request.fractions, request.seeds)
    return wanted, request.out, request.json, request.ray


def _shaped(shape: type[config.Run], fields: list[Any]) -> Any:
    """Return settings with more fields, or others, as a dataclass to parse."""
    # Ranges are checked once, when the settings themselves are made.
    made: Any = dataclasses.make_dataclass(
        shape.__name__,
        fields,
        bases=(shape,),
        namespace={"__post_init__": lambda self: None},
        frozen=True,
        kw_only=True,
    )
    made.__doc__ = shape.__doc__
    return made


def _preset(words: list[str]) -> str:
    for word, following in itertools.zip_longest(words, words[1:], fillvalue=""):
        if word == "--preset":
            return following
        if word.startswith("--preset="):
            return word.removeprefix("--preset=")
    return "small"


def _finding(box: str) -> str:
    """Return what a framed message of several lines says, as one sentence without its frame and advice."""
    lines = [line.strip(" │╭╰╮╯─|+") for line in box.partition("Argument helptext")[0].splitlines()]
    said = [line for line in lines if line.strip("-") and not line.endswith("--help")]
    said = [line for line in said if not line.startswith("For full helptext")]
    # The first line is the frame's title.
    return " ".join(" ".join(said[1:] or said).split())
