"""Errors of backup and restore. Each says how to handle it.

::

    KafoldError
    ├── DamagedBackup     a file of the backup is missing or not as it was written: take another copy of it
    ├── WrongFolder       the folder is no backup, or not one to write to, or of another application
    ├── NotEmpty          the cluster has what would be restored: take an empty one
    ├── RestoreFailed     Kafka did not take a record where it belongs: restore again, it starts over
    └── NotEqual          what is in the cluster is not what is in the backup: nothing may be started on it
"""

from schemas.errors import KafoldError


class DamagedBackup(KafoldError):
    """A file of the backup is missing, or not as it was written. The text names it: take another copy of it."""


class WrongFolder(KafoldError):
    """A folder is no backup, or not one to write to, or of another application. The text says which to take."""


class NotEmpty(KafoldError):
    """The cluster or the database has what would be restored. Nothing was touched: take empty ones."""


class RestoreFailed(KafoldError):
    """Kafka did not take a record where it belongs. Restore again: it starts over."""


class NotEqual(KafoldError):
    """What is in the cluster is not what is in the backup. The text names the first place: restore again."""
