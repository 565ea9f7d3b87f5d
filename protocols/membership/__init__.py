"""Who belongs to a federation: the charter, admission by stewards, revocation, and what each node says of itself."""
