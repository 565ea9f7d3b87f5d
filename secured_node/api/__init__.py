"""The local interface: HTTP over a Unix socket in the state folder, for the command line and for monitoring."""
