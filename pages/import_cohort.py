"""Bring X-rays with their reports and labels in as a cohort, and follow the imports that go on."""

from timnet.ui import frame, notices
from timnet.ui.importing import form

frame.require()
frame.head(
    "Import a cohort",
    "A cohort is one hospital's or archive's set of X-rays with their reports and labels. The import goes on "
    "in the background: you can close this tab.",
)
with notices.sentences():
    form.ask()
