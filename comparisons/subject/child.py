"""Somebody's file runs in a child process, so that a file that ends its process shows: os._exit, a segmentation fault.

The child is a fork, which costs milliseconds, since nothing is imported again. On Linux alone: elsewhere a fork is not
to be had, or not safe, and the file runs in the same process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress

FAILED = 2
# An interrupt from the terminal reaches the child by itself; one that was sent to its parent alone is passed on.
GRACE_SECONDS = 1.0
PR_SET_PDEATHSIG = 1


def in_a_child(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run main on these arguments, apart where they name somebody's file, and return its status.

    Parameters
    ----------
    main : the command line, which returns an exit status
    arguments : of the command; one like file.py:function makes it run apart

    Returns
    -------
    status : that of main; 2, after a line on standard error, where the process ended without main
    """
    target = next((argument.rpartition("=")[2] for argument in arguments if ".py:" in argument), "")
    if not target or sys.platform != "linux":
        return main(arguments)
    reading, writing = os.pipe()
    parent = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, of which there are none but idle ones of BLAS
        child = os.fork()
    if not child:
        os.close(reading)
        _die_with(parent)
        return _told(main, arguments, writing)
    os.close(writing)
    how = _wait(child)
    # What the file has started may hold the pipe open for ever.
    os.set_blocking(reading, False)
    with suppress(BlockingIOError):
        if told := os.read(reading, 1):
            return told[0]
    print(f"handnet {arguments[0]}: {target} {_ending(how)}; nothing was judged", file=sys.stderr)
    return FAILED


def _told(main: Callable[[Sequence[str]], int], arguments: Sequence[str], writing: int) -> int:
    """Run main, and tell the parent its status whatever comes after."""
    status = 1  # as Python's own, where main raises
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else status
        raise
    finally:
        with suppress(OSError):
            os.write(writing, bytes([status]))
    return status


def _wait(child: int) -> int:
    """Wait for the child, pass on what asks this process to end, and return how the child ended."""
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    while True:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        except KeyboardInterrupt:
            time.sleep(GRACE_SECONDS)
            os.kill(child, signal.SIGINT)  # it is still there to be waited for, ended or not


def _die_with(parent: int) -> None:
    """Let this process be killed when its parent is: nobody would wait for it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(FAILED)


def _ending(how: int) -> str:
    if how >= 0:
        return f"ended the process itself, with exit status {how}"
    return f"crashed the process: {signal.Signals(-how).name}, {(signal.strsignal(-how) or '').lower()}"
