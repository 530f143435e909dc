"""The app's entry: one frame, six pages."""

from timnet.ui import frame

frame.draw().run()
