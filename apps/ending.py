"""How a command ends: one line for every mistake and every stop, the status that a shell expects, and no traceback."""

import errno
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TextIO

import typer

from mainstem.core.errors import InputError, MainstemError
from mainstem.core.interruptions import Interrupted
from mainstem.core.plain import is_text, plain
from mainstem.data.hearing import hearing

MISTAKE, FAULT = 2, 70  # exit status: a user's mistake; a fault of ours (EX_SOFTWARE, BSD sysexits.h)
NOBODY_READS = 128 + signal.SIGPIPE
TRACEBACK = "MAINSTEM_TRACEBACK"
LONGEST = 1000  # letters of a line: names of hostile files are long
USAGE = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class Stopped(KeyboardInterrupt):
    """TERM or HUP came: somebody wants this process to end."""


class Signals:
    """Turns TERM and HUP into what Ctrl+C does, so that whatever is half-written is cleared away first."""

    def __init__(self) -> None:
        self.came: signal.Signals | None = None

    def catch(self) -> None:
        """Catch them, unless they are ignored (nohup)."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # clearing away is not stopped by a second one
        self.came = signal.Signals(number)
        raise Stopped


def run(command: Callable[[], int | None]) -> int:
    """Run a command and return its exit status; whatever goes wrong is one line on standard error."""
    _have_streams()
    _be_quiet()
    signals = Signals()
    signals.catch()
    try:
        with hearing() as notes:
            status = command() or 0
        for note in dict.fromkeys(notes):  # not before: what is refused is refused in one line
            _say(f"note: {note}")
        sys.stdout.flush()
    except BaseException as error:
        status = _status_of(error, signals)
    if status == 128 + signal.SIGINT:
        came = signals.came or signal.SIGINT
        _say(f"stopped by {came.name}; what was begun goes on, or begins anew, with the same command")
        status = 128 + came
    _close_output()
    return status


def _status_of(error: BaseException, signals: Signals) -> int:
    """Say what went wrong, and return its exit status."""
    if isinstance(error, KeyboardInterrupt) or signals.came is not None:
        return 128 + signal.SIGINT
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, USAGE):
        return _usage(error)
    if isinstance(error, MainstemError):
        _say(str(error))
        return error.status if isinstance(error, Interrupted) else MISTAKE
    if isinstance(error, BrokenPipeError) and error.filename is None:
        return NOBODY_READS  # | head: as other programs, without a word
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename is not None else ""
        _say(f"{where}{error.strerror or error}; {_advice(error)}")
        return MISTAKE
    if isinstance(error, MemoryError):
        _say("not enough memory for this; take fewer or smaller inputs, or a larger machine")
        return MISTAKE
    return _fault(error)


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free space, then run the same command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "name a file or folder that you may use"
    return "check the path"


def _usage(error: BaseException) -> int:
    """Say what is wrong with the arguments; without any, the help is shown instead."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(context.get_help() if context is not None else error)
        return MISTAKE
    path = context.command_path if context is not None else "mainstem"
    _say(f"{error.format_message()} See {path} --help".replace("..", "."))  # type: ignore[attr-defined]
    return MISTAKE


def _fault(error: BaseException) -> int:
    """Say where our own code failed; the traceback is for those who ask for it."""
    if os.environ.get(TRACEBACK):
        raise error
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" ({os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})"
    _say(f"internal error: {type(error).__name__}: {error}{where}; please report it, with {TRACEBACK}=1 for the whole")
    return FAULT


def one_line(text: str) -> str:
    """A text as one line that no screen can take for anything else: no breaks, no control characters, not too long."""
    words = " ".join(plain(text).split())
    return words if len(words) <= LONGEST else f"{words[: LONGEST // 2]} ... {words[-LONGEST // 2 :]}"


def tell(*lines: object, to: TextIO | None = None) -> None:
    """Print lines, each as one line whatever names and files put into it."""
    for line in lines:
        print(plain(line), file=to)


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuse arguments that are no text before any work: what is made of such a file could not be written down.

    Raises:
        InputError: naming the first.
    """
    for argument in arguments:
        if not is_text(argument):
            raise InputError(f"got {plain(argument)!r}, which is no UTF-8; rename the file, or name it by a link")


def _say(text: str) -> None:
    try:
        print(f"mainstem: {one_line(text)}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return  # nobody is there to be told


def _have_streams() -> None:
    """Open what is closed of the three standard streams, or the next file that is written would get their number.

    What cannot be encoded is shown as its code: a name of a field is not known beforehand.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - lives as long as we
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _be_quiet() -> None:
    """Libraries' warnings and logs are for developers, who ask for them by -W or by logging of their own."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # torch is not loaded yet
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())


def _close_output() -> None:
    """Drop what cannot be written any more, or the interpreter would complain of it on its way out."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
