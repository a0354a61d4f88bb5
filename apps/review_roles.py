"""Who may do what with reviews: deny by default, asked for by the store itself, never by a page."""

from dataclasses import dataclass
from typing import Literal, get_args

from mainstem.core.errors import InputError

Role = Literal["viewer", "reader", "clinician", "researcher", "admin"]
Act = Literal["read", "review", "anchor", "export", "backup", "forget"]
Mode = Literal["clinic", "research"]
_READER: frozenset[Act] = frozenset({"read", "review"})
_ADMIN: frozenset[Act] = frozenset(
    {"read", "anchor", "export", "backup", "forget"}
)  # who keeps the store judges nothing
_ALLOWED: dict[Mode, dict[str, frozenset[Act]]] = {
    "clinic": {"viewer": frozenset({"read"}), "reader": _READER, "clinician": _READER, "admin": _ADMIN},
    "research": {
        "viewer": frozenset({"read"}),
        "reader": _READER,
        "clinician": _READER,
        "researcher": _READER | {"export"},
        "admin": _ADMIN,
    },
}


@dataclass(frozen=True)
class User:
    """Who acts, as whoever signed them in says: the store holds no passwords; one of no known role may do nothing."""

    id: str
    role: str


def check_allowed(user: User | None, act: Act, mode: Mode) -> User:
    """Return the user, if their role allows an act on a store of this mode.

    Raises:
        InputError: if it does not, is unknown, or nobody is named.
    """
    if user is None:
        raise InputError(f"nobody is signed in, and only named users may {act}; sign in first")
    if user.role not in get_args(Role):
        raise InputError(f"got the role {user.role!r}, want one of {', '.join(get_args(Role))}; correct it")
    if act not in _ALLOWED[mode].get(user.role, frozenset()):
        raise InputError(f"the role {user.role} may not {act} in a {mode} store; ask an administrator for another role")
    return user
