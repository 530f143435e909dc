"""How long do twenty visitors at once wait for a view that is already worked out, and does anything go wrong?

Visitors are websocket clients that speak Streamlit's own protocol to one server: no browser, so that what is
measured is the app. Each opens the match page with a film of the demo cohort, and then looks at one map
after another, with a pause for thought between. The first look of each has its film read by the network;
every later one is a cached view. Like a browser, a visitor keeps what need not be sent twice.

    .venv/bin/python benchmarks/sessions.py
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet.cohorts.store import Cohort  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "sessions.json"
CHECKPOINT, MAP, NUMBER = "open-cxr", "-match_method", "metric"
BAR = {"cached_p95_seconds": 2.0, "errors": 0}
PATIENCE = 600
ALONE = 20
"""Cached views of one visitor alone, for what a view takes of a core."""
FINISHED, EARLY = ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_EARLY_FOR_RERUN


@dataclass
class Visitor:
    """One session: its socket, what it keeps of earlier messages, and what it saw in the last run."""

    socket: Any
    query: str
    kept: set[str] = field(default_factory=set)
    maps: list[str] = field(default_factory=list)
    chooser: str = ""
    wrong: list[str] = field(default_factory=list)
    growing: bool = False
    bytes: int = 0

    async def look(self, chosen: str | None = None) -> float:
        """Run the page, with another map if one is chosen, and return the seconds until it is whole."""
        wanted = BackMsg()
        wanted.rerun_script.query_string = self.query
        wanted.rerun_script.cached_message_hashes.extend(self.kept)
        if chosen is not None:
            state = WidgetState(id=self.chooser, string_value=chosen)
            wanted.rerun_script.widget_states.widgets.append(state)
        begun, seen, self.growing = time.perf_counter(), set(), False
        await self.socket.send(wanted.SerializeToString())
        while True:
            data = await asyncio.wait_for(self.socket.recv(), PATIENCE)
            self.bytes += len(data)
            result = ForwardMsg.FromString(data)
            if result.metadata.cacheable and result.hash:
                self.kept.add(result.hash)
            kind = result.WhichOneof("type")
            if kind == "delta" and result.delta.WhichOneof("type") == "new_element":
                seen.add(self._element(result.delta.new_element))
            elif kind == "ref_hash":
                seen.add("kept")
            elif kind == "auto_rerun":
                self.growing = True
            elif kind == "script_finished" and result.script_finished == FINISHED:
                break
            elif kind == "script_finished" and result.script_finished != EARLY:
                self.wrong.append(f"the run ended with status {result.script_finished}")
                break
        if NUMBER not in seen and "kept" not in seen:
            self.wrong.append(f"no match probability among {sorted(seen)}")
        return time.perf_counter() - begun

    def _element(self, element: Any) -> str:
        kind = str(element.WhichOneof("type"))
        if kind == "exception":
            self.wrong.append(f"{element.exception.type}: {element.exception.message}"[:200])
        if kind == "selectbox" and element.selectbox.id.endswith(MAP):
            self.chooser, self.maps = element.selectbox.id, list(element.selectbox.options)[:2]
        return kind


def main() -> None:
    """Measure, print the figures, and keep them with the machine they are of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--interactions", type=int, default=200, help="of all visitors together")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds of thought, on average")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = os.environ | {
            "TIMNET_HOME": str(home / "cohorts"),
            "TIMNET_CHECKPOINTS": str(home / "checkpoints"),
            "OMP_NUM_THREADS": "1",
        }
        shutil.copytree(ROOT / "checkpoints" / CHECKPOINT, home / "checkpoints" / CHECKPOINT)
        importing = [sys.executable, "-m", "timnet", "import", "demo"]
        subprocess.run(importing, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        studies = Cohort.open(home / "cohorts" / "demo").studies(split="test", has_report=True)
        films = studies["film"].tolist()[: words.visitors]
        with served(environment) as (port, process):
            result = asyncio.run(load(port, process, films, words.visitors, words.interactions, words.pause))
    machine = {"system": platform.platform(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    result = {"what": __doc__.splitlines()[0], "bars": BAR, "machine": machine} | result
    print(json.dumps(result, indent=1))
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


async def load(
    port: int, process: int, films: list[int], visitors: int, interactions: int, pause: float
) -> dict[str, Any]:
    """Let every visitor look, all at once, and return the figures; `process` is the server's number."""
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    first: list[float] = []
    cached: list[float] = []
    wrong: list[str] = []
    sent: list[int] = []
    each = max(1, round(interactions / visitors) - 1)

    async def visit(number: int) -> None:
        rng = random.Random(number)
        async with connect(
            address, subprotocols=[Subprotocol("streamlit")], max_size=None, compression=None
        ) as opened:
            visitor = Visitor(opened, f"match_cohort=demo&match_film={films[number % len(films)]}")
            await asyncio.sleep(rng.uniform(0, 2 * pause))
            first.append(await visitor.look())
            before = visitor.bytes
            for turn in range(each):
                await asyncio.sleep(rng.uniform(0, 2 * pause))
                if not visitor.maps:
                    visitor.wrong.append("no map to choose")
                    break
                cached.append(await visitor.look(visitor.maps[(turn + 1) % len(visitor.maps)]))
            sent.append((visitor.bytes - before) // each)
            wrong.extend(visitor.wrong)

    # The network is loaded, and other patients' reports are read, once for a server: not a visitor's wait.
    async with connect(
        address, subprotocols=[Subprotocol("streamlit")], max_size=None, compression=None
    ) as opened:
        warm = Visitor(opened, f"match_cohort=demo&match_film={films[0]}")
        await warm.look()
        while warm.growing:
            await warm.look()
        # Alone and without a pause: what a view takes of a core, however busy the machine is.
        worked = worked_seconds(process)
        for turn in range(ALONE):
            await warm.look(warm.maps[(turn + 1) % len(warm.maps)])
        worked = worked_seconds(process) - worked
        wrong.extend(warm.wrong)
    begun = time.perf_counter()
    await asyncio.gather(*(visit(number) for number in range(visitors)))
    seconds = time.perf_counter() - begun
    return {
        "visitors": visitors,
        "pause_seconds": pause,
        "interactions": len(first) + len(cached),
        "seconds": round(seconds, 1),
        "errors": len(wrong),
        "first_errors": wrong[:3],
        "first_look_median_seconds": round(float(np.median(first)), 2),
        "first_look_p95_seconds": round(float(np.quantile(first, 0.95)), 2),
        "cached_median_seconds": round(float(np.median(cached)), 3),
        "cached_p95_seconds": round(float(np.quantile(cached, 0.95)), 3),
        "cached_slowest_seconds": round(max(cached), 3),
        "core_seconds_a_cached_view": round(worked / ALONE, 3),
        "kilobytes_a_cached_view": round(float(np.mean(sent)) / 1000, 1),
    }


def worked_seconds(process: int) -> float:
    """Return how long all threads of a process have used a core; Linux alone tells."""
    result = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(result[11]) + int(result[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """Serve the app while the context lasts: the port, a free one, and the process's number."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with (
                suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2),
            ):
                break
            time.sleep(0.5)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
