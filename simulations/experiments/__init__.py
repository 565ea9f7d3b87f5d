"""Experiments that are more than a run of one federation: each a pure function of a seed, run like a scenario."""
