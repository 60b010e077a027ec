"""Writing a file so that a failure leaves what stood there before untouched."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the place of `path`, on failure it is deleted.

    Parameters
    ----------
    path : path of the file to write

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written, or the disk is full.
    """
    import tempfile  # here, since `import handnet` should cost little more than `import numpy`

    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes a private file; a report should have the rights any new file gets.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
