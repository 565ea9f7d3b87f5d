"""Signed records: what one is, who may write which, how two nodes bring theirs to the same state. See `exchange`."""
