"""The project's own errors: each is one line that says what was found, what was wanted and what to do."""


class MainstemError(Exception):
    """A mistake that a user can mend; commands print it as one line and exit with a non-zero status."""


class InputError(MainstemError):
    """A file, table or array that cannot be used as it is."""


class ChannelError(InputError):
    """A stream lacks a channel, or gives one in another unit than the tokenizer expects."""


class ArtifactError(MainstemError):
    """A run, adapter or trunk file that is damaged, foreign or unsafe to open."""


class CalibrationError(MainstemError):
    """Too few cases or groups for the coverage that was asked for."""


class MissingExtraError(MainstemError):
    """An optional library is absent; the message names the extra to install."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f'{library} is not installed; pip install "mainstem[{extra}]"')
