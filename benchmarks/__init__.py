"""Measurements of real daemons; `make bench` prints one JSON object a line."""
