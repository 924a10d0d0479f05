"""The command line: turns settings and errors into words, advice and exit codes. Edge: nothing imports it."""
