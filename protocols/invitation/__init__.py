"""How a newcomer comes in: the code, its keys, the newcomer's request, the inviter's desk and tickets. See `desk`."""
