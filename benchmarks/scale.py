"""What MIMIC-CXR and ten million pairs take: every figure of docs/scale.md, from formulas and measured rates.

Floating-point operations are counted by torch on shapes alone, two a multiplication, three forward passes a
training step. Measured here are a film's decoding, an epoch's order and a batch's masks, by the processor's
seconds of one thread; the rate of a film at 224 px is that of benchmarks/results/pretrain_speed.json.

    .venv/bin/python benchmarks/scale.py
    .venv/bin/python benchmarks/scale.py --rates 350 5000 --price 2.5    # of your device, of its hour
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet.cohorts.pairs import Pairs  # noqa: E402
from timnet.config import Pretrain  # noqa: E402
from timnet.films.read import letterboxed, read_film  # noqa: E402
from timnet.reports import report_text  # noqa: E402
from timnet.training import batches, pairing  # noqa: E402

MIMIC = {"films": 368_948, "pairs": 368_948 - 2_991 - 5_159, "reports": 227_835}
"""Films less those of the official validation and test; studies (Liang et al., Sec. IV-A)."""
TEN_MILLION = dict.fromkeys(MIMIC, 10_000_000)
EPOCHS = 50
CODES = 6 * 8 + 2 * 1 + 5 * 4
"""Bytes of a pair in `Pairs`: six numbers, two flags, a split of up to five letters."""
STRING = sys.getsizeof("")
PEAK = 989e12
"""Dense bf16 operations a second of the card that the goals are set for."""


def main() -> None:
    """Print the tables of docs/scale.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=70, help="mean length of a report")
    parser.add_argument("--rates", type=float, nargs="+", default=[100, 2000, 10000], help="pairs a second")
    parser.add_argument("--price", type=float, default=1.0, help="of a device hour")
    parser.add_argument("--efficiency", type=float, default=0.8, help="of each of eight devices")
    words = parser.parse_args()
    torch.set_num_threads(1)
    flop = {
        "ResNet-18, 224 px": image_flop(224),
        "ResNet-18, 500 px": image_flop(500),
        "BERT-base, 256 tokens": bert_flop(256),
        "BERT-base, 128 tokens": bert_flop(128),
    }
    for name, count in flop.items():
        print(f"{name:<24}{count / 1e9:8.2f} GFLOP forward {3 * count / 1e9:8.1f} training")
    film = seconds(decoded)
    print(f"\ndecoding a JPEG of 2544 x 3056: {film * 1000:.0f} ms of one core")
    print("\n| | MIMIC-CXR | ten million pairs |\n|---|---|---|")
    for name, of in quantities(flop, words.tokens, film).items():
        print(f"| {name} | {of(MIMIC)} | {of(TEN_MILLION)} |")
    kept = json.loads((ROOT / "benchmarks/results/pretrain_speed.json").read_text(encoding="utf-8"))
    core = 1 / kept["seconds_a_positive_pair"]["ours, text frozen"]
    print(f"\n| pairs a second | MIMIC-CXR, {EPOCHS} epochs | cost | ten million | eight devices | cost |")
    print("|---|---|---|---|---|---|")
    for rate in [core, *words.rates]:
        print(hours(rate, words.price, words.efficiency))
    print("\n| goal | operations a second | share of the peak |\n|---|---|---|")
    whole = 3 * (flop["ResNet-18, 224 px"] + flop["BERT-base, 256 tokens"])
    for rate, each in ((2000, whole), (10000, 3 * flop["ResNet-18, 224 px"])):
        print(f"| {rate:,} | {rate * each / 1e12:.0f} TFLOP | {rate * each / PEAK:.0%} |")
    print("\nwhat the process does itself, by the processor's seconds of one core")
    for size in (2048, 4096):
        each = seconds(masks(size))
        print(
            f"masks of a batch of {size:,}: {each * 1000:.0f} ms; of an epoch, told of at every look: "
            f"{MIMIC['pairs'] / size * each:.0f} s, of ten million pairs {1e7 / size * each:.0f} s"
        )
    order = seconds(lambda: sum(len(each) for each in batches.orders(range(1_000_000), 2048, 0, 0)), 3)
    print(f"order of an epoch of a million pairs: {order:.1f} s; of ten million, {10 * order:.0f} s")


def quantities(
    flop: dict[str, float], tokens: int, film: float
) -> dict[str, Callable[[dict[str, int]], str]]:
    """Return what is tabled, each with its formula over films, pairs and reports."""
    frozen, large = 3 * flop["ResNet-18, 224 px"], 3 * flop["ResNet-18, 500 px"]
    whole = frozen + 3 * flop["BERT-base, 256 tokens"]
    return {
        "films": lambda of: f"{of['films']:,}",
        "pairs trained on": lambda of: f"{of['pairs']:,}",
        "pixels at 224 px, GB": lambda of: f"{of['films'] * 224**2 / 1e9:,.1f}",
        "pixels at 500 px, GB": lambda of: f"{of['films'] * 500**2 / 1e9:,.1f}",
        "token states, MiniLM, GB": lambda of: f"{of['reports'] * tokens * 384 * 2 / 1e9:,.1f}",
        "token states, BERT-base, GB": lambda of: f"{of['reports'] * tokens * 768 * 2 / 1e9:,.1f}",
        "held by each process, GB": lambda of: (
            f"{(of['pairs'] * CODES + of['reports'] * (text_bytes() + STRING)) / 1e9:,.2f}"
        ),
        "decoding once, core hours": lambda of: f"{of['films'] * film / 3600:,.1f}",
        "reading reports, BERT-base, FLOP": lambda of: f"{of['reports'] * flop['BERT-base, 128 tokens']:.1e}",
        "training, 224 px, text frozen, FLOP": lambda of: f"{of['pairs'] * EPOCHS * frozen:.1e}",
        "training, 224 px, all of BERT-base, FLOP": lambda of: f"{of['pairs'] * EPOCHS * whole:.1e}",
        "training, 500 px, text frozen, FLOP": lambda of: f"{of['pairs'] * EPOCHS * large:.1e}",
    }


def hours(rate: float, price: float, efficiency: float) -> str:
    """Return a line of a Markdown table: hours and cost of so many pairs a second a device."""
    one, many = (of["pairs"] * EPOCHS / rate / 3600 for of in (MIMIC, TEN_MILLION))
    eight = many / 8 / efficiency
    cells = [f"{rate:,.1f}", f"{one:,.1f} h", f"{one * price:,.1f}", f"{many:,.1f} h", f"{eight:,.1f} h",
             f"{eight * 8 * price:,.1f}"]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def counted(module: nn.Module, *inputs: torch.Tensor, **named: torch.Tensor) -> float:
    """Return the operations of a forward pass, two a multiplication."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*inputs, **named)
    return float(counter.get_total_flops())


def image_flop(side: int) -> float:
    """Return the operations of a film's trunk, forward, with three channels as the literature counts."""
    from torchvision.models import resnet18

    with torch.device("meta"):
        return counted(resnet18().eval(), torch.empty(1, 3, side, side))


def bert_flop(tokens: int) -> float:
    """Return the operations of BERT-base over a report of so many tokens, forward."""
    from transformers import BertConfig, BertModel

    # Eager attention is plain multiplications, which the counter knows on every device.
    shape = BertConfig(attn_implementation="eager")
    with torch.device("meta"):
        bert = BertModel(shape, add_pooling_layer=False).eval()
        return counted(bert, inputs_embeds=torch.empty(1, tokens, shape.hidden_size))


def text_bytes() -> float:
    """Return the mean length of the demo cohort's findings, in bytes."""
    with (ROOT / "assets" / "demo" / "studies.csv").open(newline="", encoding="utf-8") as file:
        found = [len(report_text.findings(row["report"])) for row in csv.DictReader(file)]
    return sum(found) / len(found)


def decoded() -> None:
    """Decode a JPEG as large as MIMIC-CXR's films are, and bring it to 224 px."""
    letterboxed(read_film(_JPEG), 224)


def masks(size: int) -> Callable[[], object]:
    """Return the work of telling which pairs of a batch are no mismatches."""
    rng, rows = np.random.default_rng(0), np.arange(size)
    codes = rng.integers(10 * size, size=size)
    held = np.zeros(size, bool)
    pairs = Pairs(
        pixels=(), row=rows, source=np.zeros(size, np.int64), study=rows, patient=codes, text=codes,
        labels=rows, normal=held, texts=(), split=np.full(size, "train"), held_out=held, without_text=0,
    )  # fmt: skip
    settings = Pretrain(cohorts=("one",))
    return lambda: pairing.no_mismatch(settings, pairs, rows[:, None], rows[None, :])


def seconds(work: Callable[[], object], rounds: int = 9) -> float:
    """Return the processor's seconds that work takes, the median of some rounds behind a first one."""
    taken = []
    for _ in range(rounds + 1):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return statistics.median(taken[1:])


def _jpeg() -> bytes:
    """Return a JPEG of noise that is smooth over some pixels, so that it compresses about as films do."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, size=(382, 318), dtype=np.uint8))
    file = io.BytesIO()
    small.resize((2544, 3056), Image.Resampling.BICUBIC).save(file, format="JPEG", quality=95)
    return file.getvalue()


_JPEG = _jpeg()

if __name__ == "__main__":
    main()
