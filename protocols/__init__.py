"""The pure heart of secured-node: protocols as state machines that own no socket, clock, thread, file or randomness.

The daemon (`secured_node`) drives these objects over TLS and SQLite; the simulator (`simulations`) drives the same
objects over a virtual network. `SPEC.md` beside this file is the normative text; its numbered MUSTs are named by tests.
"""
