"""What the app says around its results: the research-use line, errors as one sentence, first steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from timnet import config
from timnet.errors import TimnetError, one_line
from timnet.ui import server

MAP = config.MAP_LIMITS

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def research_use() -> None:
    """Show the line that stands on every page."""
    st.badge(config.RESEARCH_USE, icon=":material/science:", color="orange")


def plain(text: str) -> str:
    """Return text that markdown shows as it is: no images, links or styles out of a file's name."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(text.split()))


def not_here(what: str, name: str) -> None:
    """Say that a link names what is not on this computer."""
    st.info(plain(f"There is no {what} {name} here: another one is shown."), icon=":material/link_off:")


@contextmanager
def sentences() -> Iterator[None]:
    """Show what cannot be done as one sentence and end the page there."""
    try:
        yield
    except OSError as error:
        refused(f"The disk or the system refused: {error.strerror or type(error).__name__}")
    except TimnetError as error:
        refused(str(error))


def refused(message: str) -> None:
    """Show one sentence in red and end the page."""
    st.error(plain(one_line(message)), icon=":material/error:")
    st.stop()


def upload_refused() -> None:
    """Say why the visitor's last upload was refused by the server, where it was."""
    if sentence := server.refusal():
        st.error(plain(sentence), icon=":material/error:")


def no_cohort() -> None:
    """Say how a cohort is imported, and end the page."""
    st.info(
        "A cohort is one hospital's or archive's set of X-rays with their reports and labels. None has been "
        "imported on this computer yet.",
        title="No cohort yet",
        icon=":material/folder_open:",
    )
    st.page_link("pages/import_cohort.py", label="Import a cohort", icon=":material/create_new_folder:")
    st.markdown("Or in a terminal, in the folder of this app:")
    st.code(
        "python -m timnet import mendeley FOLDER --name mendeley\n"
        "python -m timnet import csv FOLDER --name my-cohort",
        language="bash",
    )
    st.markdown(
        "The first reads the Mendeley-V2 archive of paediatric chest X-rays, the second any table with one "
        "row an X-ray. Then reload this page. Cohorts are kept in `TIMNET_HOME`, which on this computer is:"
    )
    st.text(str(config.home()))
    st.stop()


def no_timnet() -> None:
    """Say how a matching network is had, and end the page."""
    st.info(
        "Matching needs a network that was trained on X-rays and their reports (a TIMNet). None is here yet.",
        title="No matching network yet",
        icon=":material/hub:",
    )
    st.markdown("Train one in a terminal from an imported cohort with reports, in the folder of this app:")
    st.code("python -m timnet pretrain my-cohort", language="bash")
    st.markdown("or put a checkpoint folder into:")
    st.text(str(config.checkpoints()))
    st.page_link("pages/explore.py", label="See the cohorts on this computer", icon=":material/search:")
    st.stop()


def no_classifier() -> None:
    """Say how a classifier is had, and end the page."""
    st.info(
        "This page reads an X-ray with a classifier that was fine-tuned on labels. There is none yet.",
        title="No classifier yet",
        icon=":material/model_training:",
    )
    st.page_link("pages/fine_tune.py", label="Fine-tune a classifier", icon=":material/model_training:")
    st.stop()
