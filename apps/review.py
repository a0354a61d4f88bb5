"""The review store: who decided what about which prediction, kept so that no later change goes unseen.

`ReviewStore.open(url, home)` opens or begins one; `as_user` says who acts; `record` appends a review. The home holds
the keys (keys/), the anchors (anchors.jsonl) and the keys of pseudonyms (pseudonyms/); docs/review.md says who keeps
what.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, func, select

from mainstem.apps.review_anchors import ANCHOR_FILE, AnchorFile, anchor_files, anchor_line, lines_of
from mainstem.apps.review_chain import Row, Verified, canonical, check_whole, linked
from mainstem.apps.review_database import (
    Database,
    add_rows,
    check_layout,
    clock,
    head,
    layout_of,
    migrate,
    row_of,
    rows_of,
)
from mainstem.apps.review_keys import SIGNING, Keys, Signer, keys_of, new_signer
from mainstem.apps.review_pseudonyms import Pseudonyms
from mainstem.apps.review_records import Recorded, Review, body_of, check_review, recorded
from mainstem.apps.review_roles import Act, Mode, User, check_allowed
from mainstem.apps.review_tables import REVIEWS, STORED
from mainstem.apps.review_verification import begun_as, verify_store
from mainstem.core.errors import InputError
from mainstem.core.revision import code_revision

KEYS, PSEUDONYMS = "keys", "pseudonyms"
ASKED = 500  # studies in one query
STORED_OF = select(*STORED)
NEWEST = select(func.max(REVIEWS.c.num))


@dataclass(frozen=True, kw_only=True)
class ReviewStore:
    """An open store; `user` is who acts through it.

    Attributes:
        anchors: copies of the anchors, each appended to after every `anchor_every` records.
        signer: None where the home has no signing key: such a store can be read and verified.
    """

    database: Database
    home: Path
    anchors: tuple[AnchorFile, ...]
    keys: Keys
    signer: Signer | None
    mode: Mode
    anchor_every: int
    user: User | None = None

    @classmethod
    def open(cls, url: str, home: Path, mode: Mode | None = None, anchor_every: int = 1) -> "ReviewStore":
        """Open a store, or begin one where there is none.

        Args:
            url: sqlite:///FILE or postgresql://USER@HOST/NAME.
            home: folder of its keys and anchors.
            mode: of a store that is begun, else checked: a research store takes de-identified data alone.
            anchor_every: of a store that is begun: records from one anchor to the next.

        Raises:
            InputError: if it cannot be opened, or its keys lack.
        """
        database = Database(url)
        if not database.is_file_missing():
            with database.reading() as connection:
                layout = layout_of(connection)
                check_layout(layout, database.name)
                first = row_of(connection, 0) if layout is not None else None
            if first is not None:
                return cls._opened(database, home, first, mode)
        if anchor_every < 1:
            raise InputError(f"got anchor_every={anchor_every}, want 1 or more; correct it")
        said = {"store": uuid4().hex, "mode": mode or "clinic", "anchor_every": anchor_every, "code": code_version()}
        return cls._begin(database, home, {"kind": "begin", **said}, mode)

    @classmethod
    def open_there(cls, url: str, home: Path) -> "ReviewStore":
        """Open a store that was begun.

        Raises:
            InputError: if there is none.
        """
        database = Database(url)
        if not database.is_file_missing():
            with database.reading() as connection:
                is_there = layout_of(connection) is not None
            if is_there:
                return cls.open(url, home)
        raise InputError(f"there is no review store at {database.name}; check the address")

    @classmethod
    def _begin(cls, database: Database, home: Path, begun: dict[str, Any], mode: Mode | None) -> "ReviewStore":
        signer, keys = keys_of(home / KEYS)
        if signer is None and keys is not None:
            raise InputError(f"{home / KEYS} holds no {SIGNING} to begin a store with; name another home")
        signer = signer or new_signer(home / KEYS)
        database.begin_file()
        with database.writing() as connection:
            check_layout(layout_of(connection), database.name)
            migrate(connection)
            first = row_of(connection, 0)
            if first is None:
                _check_unanchored(home, database.name)
                body = canonical({**begun, "when": clock(connection)})
                first = linked(None, body, signer)
                add_rows(connection, [first])
        store = cls._opened(database, home, first, mode)
        store.anchor_file(home / ANCHOR_FILE)
        return store

    @classmethod
    def _opened(cls, database: Database, home: Path, first: Row, mode: Mode | None) -> "ReviewStore":
        signer, keys = keys_of(home / KEYS)
        if keys is None:
            raise InputError(
                f"{home / KEYS} holds no key of the store {database.name}; name the home it was begun with"
            )
        found = begun_as(first, database.name)
        if mode not in (None, found["mode"]):
            raise InputError(f"{database.name} is a {found['mode']} store, want {mode}; begin another one")
        return cls(
            database=database,
            home=home,
            anchors=anchor_files(home),
            keys=keys,
            signer=signer,
            mode=found["mode"],
            anchor_every=found["anchor_every"],
        )

    @property
    def pseudonyms(self) -> Pseudonyms:
        """What makes pseudonyms of this site's identifiers."""
        return Pseudonyms(self.home / PSEUDONYMS)

    def as_user(self, user: User) -> "ReviewStore":
        """Return the same store, through which this user acts."""
        return replace(self, user=user)

    def allow(self, act: Act) -> User:
        """Return the user, if they may do this.

        Raises:
            InputError: if they may not.
        """
        return check_allowed(self.user, act, self.mode)

    def record(self, review: Review) -> Recorded:
        """Append a review, and its anchors.

        Returns:
            What stands in the store now; `warning` where an anchor could not be written: the next record writes it too.

        Raises:
            InputError: if the user may not, the review is not whole, or the store is not as it was left.
        """
        user = self.allow("review")
        review = check_review(review, user, self.mode)
        signer, code = self._signer(), code_version()
        with self.database.writing() as connection:
            last = head(connection)
            self._check_end(last)
            _check_corrected(connection, review, self.keys)
            said = {"when": clock(connection), "user": user.id, "role": user.role, "code": code}
            body = body_of(review, said)
            row = linked(last, canonical(body), signer)
            add_rows(connection, [row])
        return replace(recorded(row.num, row.hash, body), warning=self._anchor(row))

    def history(self, study: str) -> tuple[Recorded, ...]:
        """Return the reviews of a study's pseudonym, oldest first.

        Raises:
            InputError: if the user may not read, or one is not as it was written.
        """
        self.allow("read")
        with self.database.reading() as connection:
            wanted = STORED_OF.where(REVIEWS.c.study == study).order_by(REVIEWS.c.num)
            rows = [Row(*row) for row in connection.execute(wanted)]
        return tuple(self._recorded(row) for row in rows)

    def latest(self, *studies: str) -> dict[str, Recorded]:
        """Return the newest review of each of these studies that has one.

        Raises:
            InputError: if the user may not read, or one is not as it was written.
        """
        self.allow("read")
        rows: list[Row] = []
        with self.database.reading() as connection:
            for start in range(0, len(studies), ASKED):
                asked = REVIEWS.c.study.in_(studies[start : start + ASKED])
                newest = NEWEST.where(asked).group_by(REVIEWS.c.study)
                rows += [Row(*row) for row in connection.execute(STORED_OF.where(REVIEWS.c.num.in_(newest)))]
        found = [self._recorded(row) for row in rows]
        return {each.review.study: each for each in found}

    def verify(self, keys: Keys | None = None, anchors: Sequence[Path] | None = None) -> Verified:
        """Say whether all is as it was written, and else name the first record that is not; anybody may ask.

        Args:
            keys: that are believed, else those of the home.
            anchors: copies of the anchors, else those that the store writes.

        Raises:
            InputError: if the store or the anchors cannot be read.
        """
        files = self.anchors if anchors is None else tuple(map(AnchorFile, anchors))
        return verify_store(self.database, files, keys or self.keys)

    def anchor(self, signer: Signer | None = None, to: Path | None = None) -> int:
        """Anchor the newest record now, and return its number.

        Args:
            signer: an auditor, who adds a line with the time; None appends the store's own lines that lack.
            to: a file beside those that the store writes.

        Raises:
            InputError: if the user may not, or the store does not match its anchors.
            OSError: if a file cannot be written.
        """
        self.allow("anchor")
        found = self.verify(anchors=[file.path for file in self.anchors if file.size()])
        if not found.ok and not found.is_behind:
            raise InputError(f"nothing was anchored: {found.why}")
        if signer is None:
            return max(self.anchor_file(path) for path in ([to] if to else [file.path for file in self.anchors]))
        with self.database.reading() as connection:
            last, when = _some(head(connection)), clock(connection)
        line = anchor_line(last.num, last.hash, signer.sign(last.num, last.hash, when), when)
        AnchorFile(to or self.home / "audit.jsonl").append(last.num, lambda _: [line], every=0)
        return last.num

    def anchor_file(self, path: Path) -> int:
        """Append the store's anchors that a file lacks, and return the number of the newest record.

        Raises:
            OSError: if it cannot be written.
        """
        with self.database.reading() as connection:
            last = _some(head(connection))
            AnchorFile(path).append(last.num, lambda after: lines_of(rows_of(connection, after, last.num)))
        return last.num

    def _anchor(self, row: Row) -> str:
        """Append a new row's anchor to each copy; return what went wrong."""
        wrong = []
        for file in self.anchors:
            try:
                file.append(row.num, lambda after: self._lacking(row, after), self.anchor_every)
            except (OSError, InputError) as error:
                said = error.strerror if isinstance(error, OSError) else error
                wrong.append(f"review {row.num} is stored, but its anchor is not in {file.path}: {said}")
        return "; ".join(wrong)

    def _lacking(self, row: Row, after: int) -> Iterator[str]:
        if self.anchor_every > 1 or after == row.num - 1:
            return lines_of([row])
        with self.database.reading() as connection:
            return lines_of(list(rows_of(connection, after, row.num)))

    def _check_end(self, last: Row | None) -> None:
        """Refuse to write after a tail that was cut: the anchors know records that the store lacks."""
        if last is None or not self.keys.believe(last.num, last.hash, last.signature):
            raise InputError(
                f"the last record of {self.database.name} was not signed by a key of {self.home / KEYS}; "
                "name the home that the store was begun with, or run: mainstem review verify"
            )
        for file in self.anchors:
            known = -1
            with suppress(OSError):  # a copy that cannot be read now is told of after the record
                known = file.last()
            if known > last.num:
                raise InputError(
                    f"{file.path} knows record {known}, and the store ends at {last.num}: "
                    "nothing was written; run: mainstem review verify"
                )

    def _signer(self) -> Signer:
        if self.signer is None:
            raise InputError(
                f"{self.home / KEYS} holds no {SIGNING}, so nothing can be recorded; name the store's home"
            )
        return self.signer

    def _recorded(self, row: Row) -> Recorded:
        return recorded(row.num, row.hash, check_whole(row, self.keys))


def _check_unanchored(home: Path, name: str) -> None:
    """Refuse to begin a store in the home of one that is gone: that would hide the loss.

    Raises:
        InputError: if there are anchors.
    """
    for file in anchor_files(home):
        if file.last() >= 0:
            raise InputError(f"{file.path} knows reviews, and {name} has none; restore a backup, or name another home")


def _check_corrected(connection: Connection, review: Review, keys: Keys) -> None:
    """Check that what a review corrects is there, and is of the same study.

    Raises:
        InputError: if it is not.
    """
    if review.corrects is None:
        return
    row = row_of(connection, review.corrects)
    if row is None or check_whole(row, keys).get("study") != review.study:
        raise InputError(f"review {review.corrects} is none of this study; name one of its history")


def _some(row: Row | None) -> Row:
    if row is None:
        raise InputError("the review store lost its first record; restore a backup")
    return row


@cache
def code_version() -> str:
    """Commit or version of this program; asked for once, before any transaction: it takes a moment."""
    return code_revision()
