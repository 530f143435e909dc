"""How many times faster does timnet pre-train than the paper's literal recipe, and than a common library?

All on one device, the same films (PNG files), the same texts, the same two backbones from random weights and
MiniLM; seconds of a positive pair, the ways in turn, the median of their rounds. On the CPU the seconds are
the processor's, of one thread, so that other work on the machine does not count; on a GPU the clock's.

- literal: each pair and each negative goes through both encoders on its own, fp32, films decoded and resized
  one by one, batch 16 (8 positive pairs, 8 mismatched);
- ours: films from the cohort's pixels, every report of the batch a negative, the faster precision;
- library: transformers' VisionTextDualEncoder, in-batch contrastive loss, our films and batch, channels last.

With the text encoder trained, and left as it is: ours then reads kept token states, the literal recipe and
the library cannot. The input pipeline is timed alone, and memory by batch size (`--memory`) in processes of
their own.

    .venv/bin/python benchmarks/pretrain_speed.py
    .venv/bin/python benchmarks/pretrain_speed.py --memory
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet import config  # noqa: E402
from timnet.films.read import letterboxed, read_film  # noqa: E402
from timnet.model import devices, encoders  # noqa: E402
from timnet.model.branches import ImageBranch, TextBranch  # noqa: E402
from timnet.model.timnet import TIMNet  # noqa: E402
from timnet.reports import report_text  # noqa: E402
from timnet.training import augment, batches, objectives  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
DEMO = ROOT / "assets" / "demo"
TOKENS = 128
LITERAL_BATCH = 16

Step = Callable[[int], int]
"""Number of a step -> positive pairs that it learned from."""


def main() -> None:
    """Measure, print the ratios beside their bars, and keep the figures with the machine they are of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--films", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--encoder", default=config.Pretrain.text_encoder, help="folder or hub id of a BERT")
    parser.add_argument("--only", default="", help="ways whose name ends in this; keeps nothing")
    parser.add_argument("--memory", action="store_true", help="peak memory by batch size instead")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.one:
        print(peak(words.one))
        return
    result = memory() if words.memory else speed(words)
    if words.only:
        return
    name = "pretrain_memory" if words.memory else "pretrain_speed"
    result = {"what": __doc__.splitlines()[0], "machine": machine(), **result}
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def speed(words: argparse.Namespace) -> dict[str, Any]:
    """Return seconds of a positive pair of every way, and the ratios that have bars."""
    on = devices.device()
    if on.type == "cpu":
        torch.set_num_threads(1)
    precision = devices.precision("auto", on)
    with (DEMO / "studies.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[: words.films]
    paths = [DEMO / row["path"] for row in rows]
    texts = [report_text.findings(row["report"]) for row in rows]
    pixels = np.stack([letterboxed(read_film(path), words.side) for path in paths])
    encoder = encoders.load(words.encoder)
    given = Given(paths, texts, pixels, encoder, on, words.side, words.batch)
    ways: dict[str, Step] = {}
    for trained in (True, False):
        message = "trained" if trained else "frozen"
        ways[f"literal, text {message}"] = literal(given, trained)
        ways[f"ours, text {message}"] = ours(given, trained, precision == "bf16")
        ways[f"library, text {message}"] = library(given, trained, precision == "bf16")
    ways["input pipeline alone"] = pipeline(given)
    ways["ours without input, text frozen"] = ours(given, False, precision == "bf16", fed=True)
    ways = {name: step for name, step in ways.items() if name.endswith(words.only)}
    clock = time.perf_counter if on.type == "cuda" else time.process_time
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for at in range(words.rounds + 1):
        for name, step in ways.items():
            begun = clock()
            learned = step(at)
            if on.type == "cuda":
                torch.cuda.synchronize(on)
            if at:
                # The first of each warms up.
                seconds[name].append((clock() - begun) / learned)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    asked_of = {
        "literal over ours, text trained": ("literal, text trained", "ours, text trained", 4),
        "literal over ours, text frozen and kept": ("literal, text frozen", "ours, text frozen", 10),
        "library over ours, text trained": ("library, text trained", "ours, text trained", 1),
        "library over ours, text frozen and kept": ("library, text frozen", "ours, text frozen", 3),
        "model over input pipeline": ("ours without input, text frozen", "input pipeline alone", 3),
    }
    bars = {
        name: (median[slow] / median[fast], bar)
        for name, (slow, fast, bar) in asked_of.items()
        if slow in median and fast in median
    }
    for name, value in median.items():
        print(f"{name:<36}{value * 1000:9.1f} ms a positive pair")
    for name, (ratio, bar) in bars.items():
        print(f"{name:<42}{ratio:6.1f}  (bar {bar})  {'met' if ratio >= bar else 'missed'}")
    return {
        "side": words.side,
        "batch": words.batch,
        "encoder": words.encoder,
        "precision": precision,
        "rounds": words.rounds,
        "seconds_a_positive_pair": {name: round(value, 5) for name, value in median.items()},
        "of_each_round": {name: [round(value, 5) for value in values] for name, values in seconds.items()},
        "ratios": {name: {"ratio": round(ratio, 2), "bar": bar} for name, (ratio, bar) in bars.items()},
    }


class Given:
    """The films and texts that every way learns from."""

    def __init__(
        self,
        paths: list[Path],
        texts: list[str],
        pixels: np.ndarray,
        encoder: encoders.TextEncoder,
        on: torch.device,
        side: int,
        batch: int,
    ) -> None:
        self.paths, self.texts, self.pixels = paths, texts, pixels
        self.encoder, self.on, self.side, self.batch = encoder, on, side, batch
        self.states = encoder.states(texts, TOKENS)

    def rows(self, at: int, number: int) -> list[int]:
        """Return the films of a step."""
        return [(at * number + i) % len(self.texts) for i in range(number)]

    def bert(self) -> nn.Module:
        """Return a text encoder of its own: what one way trains, another does not see."""
        return encoders.load(self.encoder.source).bert.to(self.on)

    def tokens(self, rows: list[int], literal: bool = False) -> tuple[Tensor, Tensor]:
        """Return token ids and mask of some texts on the device."""
        ids, mask = self.encoder.tokenize([self.texts[row] for row in rows], TOKENS, literal)
        return ids.to(self.on), mask.to(self.on)

    def films(self, rows: list[int], at: int) -> Tensor:
        """Return augmented films of the pixels kept, as training has them."""
        changes = augment.draw(len(rows), torch.Generator().manual_seed(at))
        return augment.apply(batches.films(self.pixels, rows, self.on), changes)


def network(given: Given, bert: nn.Module | None) -> TIMNet:
    """Return a TIMNet in training."""
    torch.manual_seed(0)
    timnet = TIMNet(ImageBranch("resnet18"), TextBranch(given.encoder.width, encoder=bert))
    return timnet.to(given.on).train()


def literal(given: Given, trained: bool) -> Step:
    """Return the paper's recipe as it is written: every pair on its own through both encoders."""
    bert = given.bert()
    timnet = network(given, bert if trained else None)
    optimizer = torch.optim.Adam(timnet.parameters(), lr=1e-4)

    def step(at: int) -> int:
        positive = given.rows(at, LITERAL_BATCH // 2)
        # Each film once with its report and once with another's.
        films, texts = positive * 2, positive + [(row + 7) % len(given.texts) for row in positive]
        read = [letterboxed(read_film(given.paths[row]), given.side) for row in films]
        shown = torch.from_numpy(np.stack(read)).unsqueeze(1).float().div(255).to(given.on)
        first, mask = given.tokens(texts, literal=True)
        v_image = timnet.image(shown)[1]
        if trained:
            v_text = timnet.text(first, mask)
        else:
            with torch.no_grad():
                states = bert.eval()(first, mask).last_hidden_state
            v_text = timnet.text.project(states, mask)
        truth = torch.tensor([1.0] * len(positive) + [0.0] * len(positive), device=given.on)
        loss = objectives.pair_loss(timnet.match(v_image, v_text), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return len(positive)

    return step


def ours(given: Given, trained: bool, bf16: bool, fed: bool = False) -> Step:
    """Return our step; `fed` takes a batch that lies ready, so that the network alone is timed."""
    timnet = network(given, given.bert() if trained else None)
    batches.channels_last(timnet, given.on)
    objective = objectives.MatchObjective(timnet)
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-4, fused=True)

    def batch(at: int) -> dict[str, Any]:
        rows = given.rows(at, given.batch)
        text = (
            given.tokens(rows) if trained else tuple(each.to(given.on) for each in given.states.batch(rows))
        )
        own = torch.eye(len(rows), dtype=torch.bool, device=given.on)
        return {"films": given.films(rows, at), "text": text, "own": own, "false_negative": ~own & own,
                "of": len(rows)}  # fmt: skip

    ready = batch(0) if fed else None

    def step(at: int) -> int:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(given.on.type, torch.bfloat16, enabled=bf16):
            loss = objective(ready or batch(at))
        loss.backward()
        optimizer.step()
        return given.batch

    return step


def library(given: Given, trained: bool, bf16: bool) -> Step:
    """Return a step of transformers' VisionTextDualEncoder with ResNet-18 and the same BERT."""
    from transformers import AutoModel, ResNetConfig, ResNetModel, VisionTextDualEncoderModel
    from transformers.utils import logging as transformers_logging

    class Flat(ResNetModel):
        """Its pooled features as the dual encoder's projection takes them: (B, C), not (B, C, 1, 1)."""

        def forward(self, *inputs: Any, **named: Any) -> Any:
            found = super().forward(*inputs, **named)
            found.pooler_output = found.pooler_output.flatten(1)
            return found

    torch.manual_seed(0)
    transformers_logging.set_verbosity_error()
    # The dual encoder asks its two halves for their width by the name hidden_size.
    shape = ResNetConfig(
        embedding_size=64, hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic",
        hidden_size=512,
    )  # fmt: skip
    folder = encoders.local_folder(given.encoder.source)
    bert = AutoModel.from_pretrained(folder or given.encoder.source, dtype=torch.float32)
    for parameter in bert.parameters():
        parameter.requires_grad_(trained)
    model = VisionTextDualEncoderModel(vision_model=Flat(shape), text_model=bert)
    batches.channels_last(model, given.on).train()
    wanted = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(wanted, lr=1e-4, fused=True)

    def step(at: int) -> int:
        rows = given.rows(at, given.batch)
        ids, mask = given.tokens(rows)
        films = given.films(rows, at).expand(-1, 3, -1, -1)
        films = films.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(given.on.type, torch.bfloat16, enabled=bf16):
            loss = model(input_ids=ids, attention_mask=mask, pixel_values=films, return_loss=True).loss
        loss.backward()
        optimizer.step()
        return given.batch

    return step


def pipeline(given: Given) -> Step:
    """Return a step of the input alone: films from their pixels, augmented, and their token states."""

    def step(at: int) -> int:
        rows = given.rows(at, given.batch)
        given.films(rows, at)
        for each in given.states.batch(rows):
            each.to(given.on)
        return given.batch

    return step


def memory() -> dict[str, Any]:
    """Return peak memory above that of the smallest batch, of every pair through h_cls, by batch size."""
    rows = []
    for size in (128, 256, 512, 1024):
        message = [sys.executable, str(Path(__file__).resolve()), "--one", str(size)]
        found = int(subprocess.run(message, capture_output=True, text=True, check=True).stdout)
        dense = size * size * 512 * 4 * 3
        rows.append(
            {"batch": size, "peak_mb": round(found / 1e6, 1), "dense_would_keep_mb": round(dense / 1e6)}
        )
        print(json.dumps(rows[-1]), flush=True)
    return {"rows": rows}


def peak(size: int) -> int:
    """Return how many bytes the all-pairs loss of a batch and its gradients add to this process's peak."""
    torch.set_num_threads(1)
    timnet = TIMNet(ImageBranch("resnet18", width=8), TextBranch(8, width=8))

    def loss(number: int) -> None:
        v_image, v_text = (torch.randn(number, 512, requires_grad=True) for _ in range(2))
        own = torch.eye(number, dtype=torch.bool)
        objectives.match_loss(timnet.match_all(v_image, v_text), own, ~own & own).backward()

    loss(128)
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loss(size)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit


def machine() -> dict[str, Any]:
    """Return what the figures are of."""
    result = Path("/proc/cpuinfo")
    lines = result.read_text().splitlines() if result.is_file() else []
    names = (each.split(":")[1].strip() for each in lines if each.startswith("model name"))
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processor": next(names, "not known"),
        "device": devices.describe(devices.device()),
        "torch": torch.__version__,
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    main()
