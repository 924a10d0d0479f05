"""filesync: sealed batch files between caixas, postos, the matriz and the portal, applied exactly once in effect."""

__version__ = "0.1.0"
