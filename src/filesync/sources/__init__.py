"""Rows in: dropped files and SQL queries, mapped to a contract's documents. A source is never changed."""

from filesync.sources.capture import Captured, read_source, source_files
from filesync.sources.settings import Kind, SourceSettings

__all__ = ["Captured", "Kind", "SourceSettings", "read_source", "source_files"]
