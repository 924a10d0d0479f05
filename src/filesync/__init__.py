"""filesync: sealed batch files between caixas, postos, the matriz and the portal, applied exactly once in effect.

>>> from filesync import Station, Contract
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filesync.contracts import Contract
    from filesync.exchange.station import Station

__version__ = "0.1.0"
__all__ = ["Contract", "Station", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the two big names when they are asked for: `filesync --version` needs neither Arrow nor a database."""
    if name == "Station":
        from filesync.exchange.station import Station

        return Station
    if name == "Contract":
        from filesync.contracts import Contract

        return Contract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
