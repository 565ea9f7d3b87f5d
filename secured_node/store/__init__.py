"""What a hub remembers: one SQLite file for facts, records and audit, files beside it for vectors."""
