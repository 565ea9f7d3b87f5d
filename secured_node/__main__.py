"""`python -m secured_node` is the `secured-node` program."""

from secured_node.cli import main

main()
