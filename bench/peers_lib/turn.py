"""Whose turn it is to use the machine: a lock file that measurements hold while they run."""
import fcntl
import os
import time

PAUSE_S = 0.3  # long enough that a program which waits for the lock gets it between two rounds


class Turn:
    """Held for a round, not for the hours of a table: a build that takes the same lock runs between two rounds."""

    def __init__(self, path):
        self.path = path
        self.file = None

    def __enter__(self):
        time.sleep(PAUSE_S)
        self.file = open(self.path, "a", encoding="utf-8")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"something else holds {self.path}: waiting", flush=True)
            fcntl.flock(self.file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        self.file.close()


def warn_if_busy():
    busy = os.getloadavg()[0]
    if busy > 0.5:
        print(f"warning: the load of the last minute is {busy:.1f}; what else runs spoils the figures", flush=True)
