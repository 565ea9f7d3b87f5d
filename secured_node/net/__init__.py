"""The network: links to the other members, and the server they call. Nothing here takes a protocol decision."""
