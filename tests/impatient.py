"""The `secured-node` program with a short patience: what takes half an hour in a hospital takes seconds in a test.

A program of its own, run in the place of `python -m secured_node`; nothing of the product reads its limits elsewhere.
"""

from protocols.job import succession
from protocols.secagg import deadlines
from secured_node.cli import main

if __name__ == "__main__":
    deadlines.PAUSE_AFTER_S = 3.0  # type: ignore[misc]
    deadlines.PAUSED_ASK_S = 1.0  # type: ignore[misc]
    succession.HEARD_S = 4.0  # type: ignore[misc]
    succession.GO_ON_AFTER_S = 2.0  # type: ignore[misc]
    main()
