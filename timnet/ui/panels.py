"""Pieces that several pages show: a film from outside, a film beside its map, a run's progress.

Whatever comes from a file or a report is shown as literal text or in tables, never as markdown.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from timnet import config, plots
from timnet.cohorts import decoding
from timnet.cohorts.films import Film
from timnet.cohorts.readers.demo import Truth
from timnet.training import runs, worker
from timnet.ui import again, loaders, matching, notices, viewer
from timnet.ui.checkpoints import Checkpoint

if TYPE_CHECKING:
    from timnet.reader import Reading

OWN = "One pass"
METHODS = ("GradCAM++", "LayerCAM", "HiResCAM", "EigenCAM")
_METHOD = (
    "One pass: this app's own maps of all labels from one reading, on an absolute scale. The others are "
    "pytorch-grad-cam's, for comparison; EigenCAM shows the same for every label."
)
FAINT = 0.1
"""Share of a map's full strength below which the eye sees next to nothing."""
MAP_SIDE = 256
"""Longest side of a map on a page: the network's grid is far coarser."""
WIDE = 0.6
"""Share of a map's cells above half strength from which on it points nowhere."""

STATES = {
    "queued": "waiting",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "cancelled": "stopped",
    "lost": "lost",
}
MODES: dict[config.Mode, str] = {
    "full": "The whole network",
    "last-layers": "Its last layers (faster)",
    "probe": "A line on top of it (seconds)",
}
"""What learns, in words."""
_TABLE: dict[str, Any] = {
    "value": st.column_config.NumberColumn("Value", format="%.3f"),
    "low": st.column_config.NumberColumn("95 % low", format="%.3f"),
    "high": st.column_config.NumberColumn("95 % high", format="%.3f"),
    "label": "Label",
    "metric": "Metric",
    "n": "",
    "positives": "Positive",
}


def upload(key: str) -> Film | None:
    """Ask for a film and return it, or None while there is none."""
    # Any name is let in: DICOM films often have no extension, and what a file is, its content says.
    file = st.file_uploader(
        "Chest film",
        key=key,
        help="PNG, JPEG or DICOM, up to 32 MB. The film stays in this computer's memory and is not saved.",
    )
    if file is None:
        # While somebody chooses a file.
        decoding.prepare()
        return None
    return loaders.uploaded(file.getvalue(), file.name)


def choose(checkpoints: list[Checkpoint], label: str, key: str) -> Checkpoint:
    """Ask for a checkpoint and show its card, if it has one."""
    by_name = {checkpoint.name: checkpoint for checkpoint in checkpoints}
    # A link may name one; taken once, so that another choice stays.
    if st.query_params.get(key) in by_name:
        st.session_state[key] = st.query_params.pop(key)
    name = st.selectbox(
        label, list(by_name), format_func=lambda each: by_name[each].title, key=key, persist_state="session"
    )
    chosen = by_name.get(str(name), checkpoints[0])
    card = chosen.card()
    with st.expander("About this network", icon=":material/description:", key=f"{key}_card"):
        if card:
            st.markdown(card)
        else:
            st.caption("No model card. What its folder says:")
            st.text(f"{chosen.name}: reads films at {chosen.side} x {chosen.side} pixels")
            if chosen.labels:
                st.text("labels: " + ", ".join(chosen.labels))
            if isinstance(chosen.settings, config.Finetune):
                st.text(f"what learned: {MODES[chosen.settings.mode].lower()}")
    st.page_link(
        "pages/card.py",
        label="Model card of this network",
        icon=":material/fact_check:",
        query_params={"network": chosen.name},
    )
    return chosen


def outlines(truths: Mapping[str, Truth]) -> dict[str, list[np.ndarray]]:
    """Ask whether to show where the findings of simulated films lie; return each film's masks if so."""
    if not any(truth.findings for truth in truths.values()):
        return {}
    if not st.toggle("Show where the findings are", key="explore_truth"):
        return {}
    placed = [each for truth in truths.values() for each in truth.findings]
    told = dict.fromkeys(" ".join(filter(None, (each.facts["side"], each.kind))) for each in placed)
    st.caption("Outlined: " + notices.plain(", ".join(told).replace("_", " ")))
    return {path: [each.mask() for each in truth.findings] for path, truth in truths.items()}


def film_and_map(
    reading: Reading, names: Mapping[str, str], key: str, network: Checkpoint, findings: str | None = None
) -> None:
    """Show the film beside the film with a map; cover, threshold and colours are the browser's affair.

    Args:
        names: map -> what to call it.
        key: start of the widgets' keys.
        network: what the reading is of, and `findings` what it was asked with: for maps by other methods.
    """
    options = list(names)
    which, how = st.columns([3, 1])
    name = which.selectbox("Map of", options, format_func=lambda each: names[each], key=f"{key}_map")
    name = name if name in names else options[0]
    method = how.selectbox("By", [OWN, *METHODS], key=f"{key}_method", help=_METHOD)
    if method != OWN:
        stretched = loaders.by_library(network, reading, name, str(method), findings)
        view = painted(stretched, name, "Film with map")
        viewer.show(viewer.View(reading.film, title="Film"), view, key=f"{key}_viewer")
        st.caption(
            f"{method} by pytorch-grad-cam, stretched so that the strongest point is always full strength: a "
            "map without meaning looks as hot as any, and two films cannot be compared. Downloads keep the "
            f"one-pass map.  \n:material/info: {notices.MAP}"
        )
        return
    strength_hw = reading.maps[name] / reading.map_scale
    view = painted(reading, name, "Film with map")
    viewer.show(viewer.View(reading.film, title="Film"), view, key=f"{key}_viewer")
    st.caption(
        "From weak (dark) to strong (bright) evidence, on one scale for every film of this network: where "
        f"evidence is weak, the film stays unpainted. {_extent(strength_hw)}  \n"
        f":material/info: {notices.MAP}"
    )


def match_calibration(reading: Reading) -> str:
    """Return in words how the match probability was calibrated, or that it was not."""
    sure = reading.certainty
    if not reading.calibrated("match"):
        return "Not calibrated: as sure as the network feels."
    line = sure.line("match")
    words = f"Calibrated on {notices.plain(sure.fitted_on)}"
    if line.error_before is not None and line.error_after is not None:
        checked = notices.plain(sure.checked_on)
        errors = f"{line.error_after:.3f} apart ({line.error_before:.3f} before)"
        words += f"; on {checked}, said and found lie {errors}"
    return f"{words}. For a single sentence or an edited text it was not fitted."


def painted(
    reading: Reading, name: str, title: str, alt: str = "The chest film with the chosen map over it"
) -> viewer.View:
    """Return the film with one of a reading's maps over it."""
    small = replace(reading, film=loaders.shown(reading.film, MAP_SIDE))
    strength_hw = small.heat(name) / reading.map_scale
    return viewer.View(reading.film, alt=alt, title=title, strength_hw=strength_hw)


def _extent(strength_hw: np.ndarray) -> str:
    """Say in words how strong and how wide a map is."""
    peak = max(float(strength_hw.max()), 0.0)
    told = f"Strongest point of this map: {peak:.0%} of full strength."
    if peak < FAINT:
        return f"{told} The evidence is weak: next to nothing is painted."
    if float((strength_hw > 0.5).mean()) > WIDE:
        return f"{told} Most of the film is painted: this map singles out no place."
    return told


def film_facts(film: Film) -> None:
    """Show what is known of a film and what was done to its greys."""
    with st.expander("About this film", icon=":material/info:"):
        spacing = " x ".join(f"{mm:g}" for mm in film.spacing_mm) + " mm" if film.spacing_mm else "not stated"
        facts = {
            "Size": f"{film.rows} rows x {film.columns} columns, {film.bits} bits",
            "File": film.kind.upper(),
            "Pixel spacing": spacing,
            "View": film.view or "not stated",
            "Fingerprint (sha256)": film.sha256[:16],
        }
        facts |= {f"Note {i}": note for i, note in enumerate(film.notes, 1)}
        st.text("\n".join(f"{name}: {value}" for name, value in facts.items()))


def exports(reading: Reading, name: str, key: str, card: str | None = None, simulated: bool = False) -> None:
    """Offer the numbers, the painted film at full size, and both on one page to print."""
    told = json.dumps(reading.as_dict(), indent=2) + "\n"
    stem = f"timnet-{reading.film.sha256[:12]}"
    with st.container(horizontal=True):
        st.download_button(
            "Numbers (JSON)",
            told,
            f"{stem}.json",
            "application/json",
            key=f"{key}_json",
            on_click="ignore",
            icon=":material/download:",
        )
        st.download_button(
            "Film with map (PNG)",
            lambda: loaders.png(reading.overlay(name)),
            f"{stem}.png",
            "image/png",
            key=f"{key}_png",
            on_click="ignore",
            icon=":material/download:",
        )

        def page() -> bytes:
            from timnet import sheet  # its fonts take a second to import

            return sheet.page(reading, name, card=card, simulated=simulated)

        st.download_button(
            "One page (PDF)",
            page,
            f"{stem}.pdf",
            "application/pdf",
            key=f"{key}_pdf",
            on_click="ignore",
            icon=":material/picture_as_pdf:",
            help="Film, map, numbers, fingerprints and the findings' words; no file name and no DICOM tag. "
            "Names, dates and numbers in the words are marked only where their form is known: read it "
            "before you pass it on.",
        )


def run_progress(state: runs.State) -> None:
    """Show where a run stands, as it stands now."""
    last, folder = state.last, state.folder
    log = runs.events(folder)
    device = log["device"].dropna() if "device" in log else pd.Series(dtype=str)
    if state.active:
        st.progress(*_progress(state.name, last, state.stopping))
        cells = st.columns(4)
        epoch = f"{last['epoch']} of {last['epochs']}" if "epoch" in last else "–"
        cells[0].metric("Epoch", epoch)
        cells[1].metric("Loss", f"{last['loss']:.4f}" if "loss" in last else "–")
        cells[2].metric("Time left", duration(last.get("eta_seconds")))
        cells[3].metric("Started", time.strftime("%H:%M", time.localtime(state.created)))
        if len(device):
            held = log["memory_bytes"].dropna() if "memory_bytes" in log else pd.Series(dtype=float)
            memory = f", at most {held.iloc[-1] / 1e9:.1f} GB of memory so far" if len(held) else ""
            st.caption(f"Training on {notices.plain(str(device.iloc[-1]))}{memory}")
        st.button(
            "Stop",
            key="ft_stop",
            icon=":material/stop_circle:",
            disabled=state.stopping,
            help="Stops after the step at hand. You can resume it later where it stopped.",
            on_click=worker.cancel,
            args=(folder,),
        )
    if "loss" in log:
        st.plotly_chart(
            plots.loss_curve(log),
            key="ft_loss",
            alt="Training loss by training step",
            config={"displayModeBar": False},
        )
    matching.follow(log)


def run_end(state: runs.State) -> None:
    """Show what came of a run that has ended."""
    if state.name == "done":
        told = runs.result(state.folder)
        if "test" in told:
            st.success(
                f"Done: trained on {told['films']} films of {told['patients']} patients, "
                f"tested on {told['films_test']} films never trained on.",
                icon=":material/check_circle:",
            )
        else:
            st.success(matching.told(told), icon=":material/check_circle:")
            results(told["held_out"], key="ft_result", counted="Pairs")
            if "retrieval" in told:
                matching.retrieval(told["retrieval"], key="ft_retrieval")
    elif state.name == "cancelled":
        st.info("This run was stopped on request.", icon=":material/stop_circle:")
    else:
        st.error(f"This run {'failed' if state.name == 'failed' else 'was lost'}. The reason:")
        st.text(state.reason or "not known")
        with st.expander("End of its log", icon=":material/article:"):
            st.text(runs.log_tail(state.folder) or "empty")
    if state.name != "done":
        run_again(state)


def run_again(state: runs.State) -> None:
    """Offer to let a run that did not end well go on, where it can, and to start it anew."""
    with st.container(horizontal=True):
        goes_on = state.resumable and st.button(
            "Resume",
            key="ft_resume",
            type="primary",
            icon=":material/resume:",
            help="Goes on where its last snapshot was taken; the result is that of a run never stopped.",
        )
        anew = st.button("Start anew", key="ft_anew", icon=":material/restart_alt:")
    if goes_on or anew:
        worker.restart(state.folder, fresh=anew)
        st.rerun()


def run_keeping(state: runs.State) -> None:
    """Show a run's note and its command, and offer to delete it."""
    folder = state.folder
    with st.expander("Note, copy, command, delete", icon=":material/edit_note:"):
        note = st.text_area(
            "Note", runs.note(folder), max_chars=runs.NOTE_LENGTH, key=f"ft_note_{folder.name}"
        )
        if st.button("Keep the note", key="ft_keep_note", icon=":material/save:"):
            worker.annotate(folder, note)
            st.toast("The note is kept.")
        if isinstance(state.settings, config.Finetune):
            st.button(
                "Put its settings into the form",
                key="ft_clone",
                icon=":material/content_copy:",
                help="Change what you like and start it as another run; this one stays.",
                on_click=again.into_form,
                args=(state.settings,),
            )
        st.caption("The same run from a terminal, in the folder of this app:")
        st.code(runs.command_line(state), language="bash", wrap_lines=True)
        sure = st.checkbox(
            "Delete this run with its checkpoint, for good",
            key=f"ft_sure_{folder.name}",
            disabled=state.active,
        )
        if st.button("Delete", key="ft_delete", icon=":material/delete:", disabled=not sure or state.active):
            worker.delete(folder)
            st.rerun()


def results(rows: list[dict[str, Any]], key: str, counted: str = "Test films") -> None:
    """Show test metrics with their intervals; `counted` says what they are of."""
    table = pd.DataFrame(rows)
    st.dataframe(
        table,
        column_config=_TABLE | {"n": counted},
        column_order=[name for name in _TABLE if name in table] if table["label"].nunique() > 1 else None,
        hide_index=True,
        placeholder="undefined",
        key=key,
        alt="Test metrics with their 95 % intervals",
    )


def duration(seconds: float | None) -> str:
    """Return seconds in words; a dash where unknown."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _progress(name: str, last: Mapping[str, Any], stopping: bool) -> tuple[float, str]:
    """Return the share done, in 0..1, and the words for it."""
    done, total = last.get("step", last.get("done")), last.get("steps", last.get("total"))
    part = min(max(done / total, 0.0), 1.0) if done is not None and total else 0.0
    if stopping:
        return part, "Stopping after the step at hand …"
    if name == "queued":
        return 0.0, "Waiting for its turn: one run at a time …"
    if "phase" in last:
        return part, f"{str(last['phase']).capitalize()} …"
    return (part, f"Training, step {done:,} of {total:,}") if total else (0.0, "Starting …")
