"""What can go wrong with checkpoints."""


class CheckpointError(Exception):
    """Something went wrong with a checkpoint."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or type(self).__doc__)


class InvalidCheckpoint(CheckpointError, ValueError):
    """The checkpoint cannot be stored as it is."""


class Superseded(CheckpointError):
    """Another owner of the thread has a higher epoch: this one can write nothing any more."""


class Torn(CheckpointError):
    """Elements of the checkpoint are missing from the storage."""


class Undecipherable(CheckpointError):
    """The stored bytes cannot be opened with the keys and settings at hand."""


class Unavailable(CheckpointError):
    """The storage cannot be reached."""


class Closed(CheckpointError):
    """The checkpointer is closed."""
