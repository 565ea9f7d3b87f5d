"""Differential privacy of the secure sums: what each member adds to its integers, and what that costs.

Theory of operation. Of every record (or site) a vector is clipped to a norm that is public, rounded to integers and
added up in integers: one record more or less then moves the sum by at most a known L2 distance, whatever the floating
point did (`plan`). Each of the n members adds discrete Gaussian noise of its own, drawn exactly (`gaussian`), so large
that the parts of n - c members hide one record; c colluders may subtract theirs. The cost is counted in zCDP
(`accounting`), which adds up over blocks, rounds and jobs.

Nothing here draws randomness of its own: keys are given. What this cannot express: noise correlated over rounds,
subsampling, and budgets (the daemon's).
"""
