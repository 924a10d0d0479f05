"""Doors to databases: the data tables and the ledger of one site, in one transaction."""
