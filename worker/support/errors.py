"""The errors that reach a person, each as one line: what is wrong, where, and what to do."""

import errno


class CloseoutError(Exception):
    """A problem that ends the command; its text is what the person reads."""

    exit_code = 2


class ConfigurationError(CloseoutError):
    """A setting is missing, malformed or contradicts another one; nothing was sent."""


class SourceError(CloseoutError):
    """The source cannot be read at all; nothing was sent."""


class EmptySourceError(SourceError):
    """The source is whole, and lists nothing: there is a header, or an empty list, and no row."""


class LedgerError(CloseoutError):
    """The ledger cannot be opened, or is not one that this version may write."""


class NoLedgerError(LedgerError):
    """There is no ledger where one was looked for."""


class OldLedgerError(LedgerError):
    """An older version wrote the ledger, and it was to be read only: nothing brings it up to date."""


class QueueError(CloseoutError):
    """The queue cannot be used as it is: no such queue, wrong credentials, something else under its name."""


class QueueUnreachableError(QueueError):
    """The queue's server does not answer now; trying again later makes sense."""


class RunNotFoundError(CloseoutError):
    """No run, or more than one, answers to the name that was given."""


class RunBusyError(CloseoutError):
    """Another process works on this run."""

    exit_code = 5


class HaltError(CloseoutError):
    """The run must stop at once; remaining sessions stay pending and can be resumed."""

    exit_code = 3


# What a person has typed or written wrong: where in the code that was noticed is of no use.
MISTAKES = (ConfigurationError, SourceError, RunNotFoundError, RunBusyError)


def primary_error(error: BaseException) -> BaseException:
    """Of an error, or a group of them, the one to tell: one of ours if there is any, else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    found = [primary_error(inner) for inner in error.exceptions]
    return next((one for one in found if isinstance(one, CloseoutError)), found[0])


_SHORT_OF = {
    errno.EMFILE: "this process has too many files open: raise its limit (`ulimit -n 4096`), or lower --concurrency",
    errno.ENFILE: "this machine has too many files open: end what else has them open",
    errno.ENOSPC: "a disk is full: make room",
    errno.EDQUOT: "the disk quota is used up: make room",
    errno.EIO: "a disk cannot be read or written: look at the system's log",
    errno.EROFS: "a file system can only be read: name a place that can be written",
}


def plain_words(error: BaseException) -> str:
    """What an error that nobody foresaw comes to, and what to do; never its own text, which may hold anything."""
    if isinstance(error, MemoryError):
        return "out of memory: lower --concurrency, or give this machine or container more"
    if isinstance(error, OSError) and error.errno in _SHORT_OF:
        return _SHORT_OF[error.errno]
    return f"a fault in closeout ({type(error).__name__}): run it with -vv to see where, and report that"
