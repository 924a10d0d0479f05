"""Payload files in: a batch's Parquet or JSON lines as bounded chunks of documents."""
