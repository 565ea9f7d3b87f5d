"""Four hospitals on one machine: `make demo`."""
