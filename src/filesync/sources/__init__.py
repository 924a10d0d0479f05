"""Rows in: dropped files and SQL queries, mapped to a contract's documents. Reading never changes a source."""

from filesync.sources.capture import Captured, read_source, source_files
from filesync.sources.settings import Kind, SourceSettings

__all__ = ["Captured", "Kind", "SourceSettings", "read_source", "source_files"]
