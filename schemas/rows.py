"""A row: one record of a read model, as queries answer it and analysts see it.

Rows are published language, like messages: whoever asks a query, in whatever process, gets them.

Promises: a row is a value; its first field is its key.
"""

from schemas.values import Value


class Row(Value):
    """The base of projections' rows. The first field is the key; every other field has a default."""
