"""Rows in: dropped files and SQL queries, mapped to a contract's documents. Reading never changes a source."""
