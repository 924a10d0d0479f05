"""What a dataset promises: one JSON Schema each, and everything derived from it. No IO but reading schemas."""
