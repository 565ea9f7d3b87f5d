"""Whole federations on one machine: the very objects of `protocols`, over a virtual network in virtual time."""
