"""Nodes that do not follow the protocol: each kind is a file, and replaces an honest hub of a federation."""
