"""`python -m simulations.cli` is `secured-sim`."""

from simulations.cli import main

main()
