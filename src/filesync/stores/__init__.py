"""The ledger and the data, in one database, so that both commit together."""
