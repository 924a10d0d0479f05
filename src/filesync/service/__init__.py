"""Files that let the system run a site by itself: systemd units, a Task Scheduler task, a WinSW service; and the calls that install them.

`templates/` hold the files, `quoting` says how a path is written into each, `rendering` fills them in, `installing` puts them where the
system looks and calls its program. Nothing here knows how a site works: the service runs `filesync -C FOLDER run`, as a person would.
"""
