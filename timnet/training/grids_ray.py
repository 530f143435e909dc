"""A grid of runs, several at once: processes of this computer or other machines, by Ray; no torch.

Owns which runs are in hand, and how many may be: as many as have a core and, measured on a run like them, the
memory. Ray hands the run of a killed worker to another one, where it goes on from its last snapshot. Other
machines must see this folder, the cohorts and the runs under the same paths. Ray is an extra
(requirements-ray.txt) and imported only here; it sends no usage data, and `local` listens on 127.0.0.1 alone.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from timnet import config, processes
from timnet.counting import counted
from timnet.training import estimates, grids, run_names, runs, worker
from timnet.training.estimates import Pace
from timnet.training.events import MEMORY, Event, Events
from timnet.training.grids import Progress, Stopped
from timnet.training.runs import RunError, State

LOCAL = "local"
RETRIES = 3
"""How often the run of a killed worker is begun again before it counts as lost."""
LOOK_SECONDS = 1.0
"""From one look at the runs in hand to the next."""
SHAPE = ("side", "batch", "backbone", "width")
"""Settings that a run's memory depends on."""
_MEMORY = ("host", "gpu", "gpu_total")
STORE_BYTES = 100 * 2**20
"""Of Ray's own store for results: nothing but a run's name passes through it."""


@dataclass(frozen=True)
class Need:
    """What one run takes of a machine: bytes of its memory, and a share of a GPU."""

    memory: int
    gpu: float

    def fit(self, has: Mapping[str, float]) -> int:
        """Return how many such runs a machine can do at once, by Ray's words for what it has."""
        parts = [int(has.get("CPU", 0)), int(has.get("memory", 0) // max(self.memory, 1))]
        return min([*parts, int(has.get("GPU", 0) / self.gpu + 1e-9)] if self.gpu else parts)


@dataclass
class _Hand:
    """The runs in hand, by Ray's reference to their work, and what was last told of each."""

    runs: dict[Any, config.Finetune] = field(default_factory=dict)
    events: dict[config.Finetune, Event] = field(default_factory=dict)
    speed: Pace | None = None
    memory: dict[str, int] | None = None
    """What a run like them was measured to take; None as long as the first is at it."""
    cancelled: bool = False
    """Whether somebody asked the grid to stop."""


def complete(
    items: Sequence[config.Finetune],
    root: Path,
    address: str,
    tell: Callable[[Progress], None] | None = None,
) -> list[State]:
    """Do the runs that are not done, several at once, and return those that failed; as `curve.complete`.

    Args:
        address: `local` for processes of this computer, or that of a Ray cluster.

    Raises:
        Stopped: SIGTERM or Ctrl-C came, or somebody stopped a run at work; all in hand took a snapshot.
        RunError: Ray is not installed or not there, or curve.FAILURES runs failed one after another.
        CohortError: no such cohort, task or share.
    """
    root.mkdir(parents=True, exist_ok=True)
    steps = grids.steps(items)
    waiting, total = grids.missing(list(dict.fromkeys(items)), root), len(set(items))
    if not waiting:
        return []
    ray, hand = _ray(address), _Hand()
    if tell:
        tell(Progress(total - len(waiting), total, waiting[0], {"event": "queued"}, None))
    failed: list[State] = []
    row = 0
    try:
        with worker.stoppable(hand), _device(root, hand) if address == LOCAL else nullcontext():
            do = ray.remote(max_retries=RETRIES)(_work)
            while (waiting or hand.runs) and not (hand.cancelled and not hand.runs):
                if not hand.cancelled:
                    _take(hand, waiting, root, ray, do)
                if not hand.runs:
                    # What is left, others are at.
                    time.sleep(LOOK_SECONDS if waiting else 0)
                    continue
                ended, _ = ray.wait(list(hand.runs), timeout=LOOK_SECONDS)
                if ended or hand.speed is None:
                    hand.speed = estimates.measured_pace(runs.all_runs(root), next(iter(hand.runs.values())))
                for reference in ended:
                    settings = hand.runs.pop(reference)
                    state = _end(ray, reference, root / run_names.folder_name(settings))
                    hand.cancelled |= state.name == "cancelled"
                    row = 0 if state.name in ("done", "cancelled") else row + 1
                    if row:
                        failed.append(state)
                    elif state.name == "done" and tell:
                        done = total - len(waiting) - len(hand.runs) - len(failed)
                        tell(Progress(done, total, settings, {"event": "done"}, None))
                if hand.cancelled or row >= grids.FAILURES:
                    hand.cancelled = True
                    for settings in hand.runs.values():
                        worker.cancel(root / run_names.folder_name(settings))
                done = total - len(waiting) - len(hand.runs) - len(failed)
                _tell(hand, waiting, root, steps, (done, total), tell)
    finally:
        ray.shutdown()
    if row >= grids.FAILURES:
        raise RunError(
            f"{counted(row, 'run')} failed one after another, the last because {failed[-1].reason}"
        )
    if hand.cancelled:
        done = total - len(grids.missing(list(dict.fromkeys(items)), root))
        message = f"{done} of {counted(total, 'run')}"
        raise Stopped(f"stopped with {message} done; the same command goes on from there")
    return failed


def measured(root: Path, like: config.Finetune) -> dict[str, int] | None:
    """Return the memory that finished runs like this one told of (events.MEMORY); None where none did.

    Of the computer's memory the most that one took; of the GPU's the least, because what is measured there
    may hold a neighbour's, too.
    """
    found: list[dict[str, int]] = []
    for state in runs.all_runs(root):
        alike = isinstance(state.settings, config.Finetune) and all(
            getattr(state.settings, name) == getattr(like, name) for name in SHAPE
        )
        if alike and state.name == "done":
            log = runs.events(state.folder)
            result = log[log["event"] == MEMORY] if "gpu_total" in log else log.iloc[:0]
            found += [{name: int(row[name]) for name in _MEMORY} for _, row in result.tail(1).iterrows()]
    if not found:
        return None
    least = min(found, key=lambda each: each["gpu"] / each["gpu_total"] if each["gpu_total"] else math.inf)
    return {**least, "host": max(each["host"] for each in found)}


def _work(folder: str) -> None:
    """Do one run's work in a process of Ray's, which has a run before it or a killed one's half."""
    at = Path(folder)
    if not (at / runs.CONFIG).exists():
        raise RunError(f"{at.name}: a machine of the cluster does not see this run's folder under its path")
    # Pages stay quick while a run works; a process that does several is nice once.
    os.nice(max(5 - os.nice(0), 0))

    def train(settings: config.Run, folder: Path, events: Events) -> dict[str, Any]:
        # Imported once the run's lock is held: it takes a while, and nobody else is to take the run then.
        from timnet.training.recipes import finetune

        assert isinstance(settings, config.Finetune)
        return finetune.train(settings, folder, events)

    worker.work(at, train, queues=False)


def _ray(address: str) -> Any:
    """Return Ray, joined to a cluster or with one of its own.

    Raises:
        RunError: it is not installed, or nothing answers at the address.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address == LOCAL:
        # Ray's own switch for one computer alone: every one of its sockets is on 127.0.0.1.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    try:
        import ray
    except ImportError:
        raise RunError(
            "--ray: Ray is not installed; pip install -r requirements-ray.txt, or leave --ray out"
        ) from None
    fields = {
        processes.VARIABLE: processes.environment(os.environ)[processes.VARIABLE],
        "PYTHONPATH": os.pathsep.join(filter(None, [str(config.REPOSITORY), os.environ.get("PYTHONPATH")])),
        "TIMNET_HOME": str(config.home()),
        "TIMNET_CHECKPOINTS": str(config.checkpoints()),
    }
    own = {"include_dashboard": False, "object_store_memory": STORE_BYTES} if address == LOCAL else {}
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": fields},
            **own,
        )
    except Exception as error:
        # Ray raises a bare one where its own processes are slow to start.
        said = " ".join(str(error).split())[:200]
        raise RunError(f"--ray {address}: Ray does not answer there ({said})") from None
    return ray


def _take(hand: _Hand, waiting: list[config.Finetune], root: Path, ray: Any, do: Any) -> None:
    """Give Ray as many runs as there is room for; the first of its kind goes alone and is measured."""
    gpus = ray.cluster_resources().get("GPU", 0)
    if hand.memory is None and waiting and not hand.runs:
        hand.memory = measured(root, waiting[0])
    need = _need(hand.memory, gpus)
    room = sum(need.fit(each["Resources"]) for each in ray.nodes() if each["Alive"]) if need else 0
    if need and room:
        options = {"num_cpus": 1, "memory": need.memory, "num_gpus": need.gpu}
    else:
        options = {"num_cpus": 1, "num_gpus": min(gpus, 1)}
    while waiting and len(hand.runs) < max(room, 1):
        settings = grids.claim(waiting, root)
        if settings is None:
            return
        folder = root / run_names.folder_name(settings)
        hand.runs[do.options(**options).remote(str(folder))] = settings


def _need(fields: Mapping[str, int] | None, gpus: float) -> Need | None:
    if fields is None:
        return None
    gpu = 0.0
    if gpus:
        # Ray counts GPUs in ten-thousandths.
        gpu = (
            math.ceil(min(fields["gpu"] / fields["gpu_total"], 1) * 1e4) / 1e4 if fields["gpu_total"] else 1.0
        )
    return Need(int(fields["host"]), gpu)


def _end(ray: Any, reference: Any, folder: Path) -> State:
    """Return how a run in hand ended.

    Raises:
        RunError: a machine cannot do it, by its own words.
    """
    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise RunError(" ".join(str(error.cause).split())) from None
    except ray.exceptions.RayError:
        reason = f"its worker was killed {RETRIES + 1} times"
        return replace(runs.state(folder), name="lost", reason=reason)
    return runs.state(folder)


def _tell(
    hand: _Hand,
    waiting: Sequence[config.Finetune],
    root: Path,
    steps: Mapping[config.Finetune, int],
    done: tuple[int, int],
    tell: Callable[[Progress], None] | None,
) -> None:
    """Tell of the runs in hand that have news, and how long all will take."""
    if not tell or not hand.runs:
        return
    last = {each: runs.state(root / run_names.folder_name(each)).last for each in hand.runs.values()}
    left, known = None, hand.speed
    if known:
        ahead = sum(known.seconds(steps[each]) for each in waiting)
        ahead += sum(last[each].get("eta_seconds", known.seconds(steps[each])) for each in last)
        left = ahead / len(last)
    for settings, event in last.items():
        if event and hand.events.get(settings) != event:
            hand.events[settings] = event
            tell(Progress(*done, settings, event, left))


@contextmanager
def _device(root: Path, hand: _Hand) -> Iterator[None]:
    """Wait for this computer's device, as a run that works alone does, and keep it for the grid."""
    lock = FileLock(root / worker.DEVICE)
    while not hand.cancelled:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            continue
    try:
        yield
    finally:
        lock.release()
