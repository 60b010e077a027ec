"""Writing a file so that a failure leaves what stood there before untouched."""

import errno
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

    target = Path(os.path.realpath(path))  # what a link points to, so that the link stays
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    try:
        handle, name = tempfile.mkstemp(prefix=".handnet.", dir=target.parent)
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, str(path)) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(_mode(target))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _mode(target: Path) -> int:
    """The rights that the file has, or those that any new file gets; a temporary file is private."""
    if target.exists():
        return target.stat().st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
