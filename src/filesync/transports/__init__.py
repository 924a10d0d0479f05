"""The road to a peer's folders."""
