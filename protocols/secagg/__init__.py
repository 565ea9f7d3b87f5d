"""The whole-set sum: offers, roots, segments, sums, certificates. See `round`, `attempt` and `SPEC.md`."""
