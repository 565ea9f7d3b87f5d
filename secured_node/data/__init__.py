"""A site's data: schemas that the federation shares, and tables that never leave the worker.

Only the worker imports `table`, `check` and `sources`; `schema`, `mapping` and `rows` hold no data and may be used
anywhere.
No message from here ever holds a value, nor a column name that the site has not written down itself.
"""
