"""Runs that try to break the protocols: a federation of one seed, its faults or adversaries, and the rules."""
