"""Every step that filesync does itself. To import this is to have them all (`routine.RUNNERS`).

Whoever runs the routine imports it: the daemon, `filesync turn`, a test of the whole day.
"""

from __future__ import annotations
