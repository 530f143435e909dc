"""The app's entry: one frame, five pages."""

from timnet.ui import frame

frame.draw().run()
