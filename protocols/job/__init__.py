"""A job: what is asked, who takes part, its rounds, its end. See `life` for the states and `job` for the core."""
