"""Text of users and files as a screen may show it."""


def plain(text: object) -> str:
    """Return a text as one line that no screen takes for anything else.

    Breaks and control characters become blanks, so that none moves a cursor, names a window or forges a further line;
    bytes of a file's name that are no UTF-8 (surrogates, PEP 383) are shown by their code.
    """
    encodable = str(text).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(letter if letter.isprintable() else " " for letter in encodable)


def one_line(error: BaseException, most: int = 200) -> str:
    """What a library's error says, on one line."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def is_text(name: str) -> bool:
    """True where a name can be written as UTF-8; the name of a file on disk may be any bytes."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
