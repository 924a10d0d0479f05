"""Measures filesync beside its peers and beside the bare limits of its libraries, in one run. `make bench`; see docs/performance.md."""
