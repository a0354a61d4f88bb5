"""Ways to tamper with a chain and its anchors, each drawn from a seed; `first` is the record that must be named."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.apps.reviews import some_review

from mainstem.apps.review_anchors import Reel, anchor_line, lines_of
from mainstem.apps.review_chain import NOTHING, Row, Verified, canonical, digest_of, linked, seal_of, verify_rows
from mainstem.apps.review_keys import Signer
from mainstem.apps.review_records import body_of

NUM = 24
ANY = -2  # whichever record is named


@dataclass
class Store:
    """Rows, and two copies of their anchors."""

    rows: list[Row]
    copies: list[list[str]]
    first: int | None = ANY
    what: str = field(default="", compare=False)


def made(signer: Signer, salt: str = "", num: int = NUM) -> Store:
    """A store of some reviews."""
    bodies = [canonical({"kind": "begin", "store": salt, "mode": "clinic", "anchor_every": 1})]
    said = {"when": "2026-11-29T12:00:00.000Z", "user": f"dr-a{salt}", "role": "reader", "code": "1"}
    bodies += [canonical(body_of(some_review(number), said)) for number in range(num)]
    rows: list[Row] = []
    for body in bodies:
        rows.append(linked(rows[-1] if rows else None, body, signer))
    return Store(rows, [list(lines_of(rows)), list(lines_of(rows))])


def verified(store: Store, keys) -> Verified:
    """What verification says of it, as the store asks it."""
    reels = partial(_reels, store.copies)
    return verify_rows(lambda: sorted(store.rows, key=lambda row: row.num), reels, keys)


def _reels(copies: Sequence[Sequence[str]]) -> list[Reel]:
    return [Reel(f"copy {number}", lines) for number, lines in enumerate(copies)]


def is_found(found: Verified) -> bool:
    """True where the store says that something is wrong: anchors that lack are something, too."""
    return not found.ok or found.anchored < found.num


class Tampering:
    """Tampers with a store as somebody without its key can, who has another key and another store of the same key."""

    def __init__(self) -> None:
        self.signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
        self.thief = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
        self.keys = self.signer.keys()
        self.store, self.other = made(self.signer), made(self.signer, "b")
        self.ways: list[Callable[[random.Random, Store], None]] = [
            self.byte, self.byte, self.value, self.field, self.rehashed, self.rechained, self.resigned, self.all_anew,
            self.deleted, self.deleted_and_closed, self.inserted, self.doubled, self.swapped, self.moved,
            self.renumbered, self.bodies_swapped, self.tail_cut, self.tail_and_a_copy_cut, self.spliced,
            self.other_store, self.anchors_swapped, self.anchors_exchanged, self.anchor_byte, self.anchors_cut,
            self.anchors_lost, self.anchors_of_another, self.anchor_forged,
        ]  # fmt: skip

    def drawn(self, seed: int) -> Store:
        """A store tampered with."""
        rng = random.Random(seed)
        store = Store(list(self.store.rows), [list(copy) for copy in self.store.copies])
        way = self.ways[seed % len(self.ways)]
        way(rng, store)
        store.what = f"{way.__name__}, seed {seed}"
        assert (store.rows, store.copies) != (self.store.rows, self.store.copies), store.what
        return store

    def put(self, store: Store, at: int, **change: object) -> None:
        store.rows[at] = store.rows[at]._replace(**change)
        store.first = at

    def byte(self, rng: random.Random, store: Store) -> None:
        """One letter of one field is another, one more or one less."""
        at, name = rng.randrange(len(store.rows)), rng.choice(["previous", "body", "hash", "signature"])
        self.put(store, at, **{name: other_text(rng, getattr(store.rows[at], name))})

    def value(self, rng: random.Random, store: Store) -> None:
        """One value of a review is another, still canonical JSON."""
        at = rng.randrange(1, len(store.rows))
        body = json.loads(store.rows[at].body)
        name = rng.choice(sorted(body))
        values = ["accept", "p-" + "9" * 32, None, 17, ["x"], {"a": rng.random()}]
        body[name] = rng.choice([value for value in values if value != body[name]])
        self.put(store, at, body=canonical(body))

    def field(self, rng: random.Random, store: Store) -> None:
        """A field of one record holds another record's."""
        at, other = rng.sample(range(1, len(store.rows)), 2)
        name = rng.choice(["previous", "body", "hash", "signature"])
        self.put(store, at, **{name: getattr(store.rows[other], name)})
        if store.rows[at] == self.store.rows[at]:
            self.byte(rng, store)

    def rehashed(self, rng: random.Random, store: Store) -> None:
        self.value(rng, store)
        row = store.rows[store.first]
        self.put(store, row.num, hash=digest_of(*row[:3]))

    def rechained(self, rng: random.Random, store: Store) -> None:
        """All hashes after an edit are made anew, the signatures kept."""
        self.value(rng, store)
        self.chain(store, store.first)

    def resigned(self, rng: random.Random, store: Store) -> None:
        """All records after an edit, and their anchors, are made anew with another key."""
        self.value(rng, store)
        self.chain(store, store.first, self.thief)
        store.copies = [list(lines_of(store.rows)) for _ in store.copies]

    def all_anew(self, rng: random.Random, store: Store) -> None:
        """A whole store with another key."""
        found = made(self.thief, str(rng.random()))
        store.rows, store.copies, store.first = found.rows, found.copies, 0

    def chain(self, store: Store, start: int, signer: Signer | None = None) -> None:
        """Make numbers, hashes and links anew, as whoever has no key can."""
        for num in range(start, len(store.rows)):
            row = store.rows[num]
            previous = seal_of(store.rows[num - 1]) if num else NOTHING
            digest = digest_of(num, previous, row.body)
            signature = signer.sign(num, digest) if signer else row.signature
            store.rows[num] = Row(num, previous, row.body, digest, signature)

    def deleted(self, rng: random.Random, store: Store) -> None:
        at = store.first = rng.randrange(len(store.rows) - 1)
        del store.rows[at : rng.randrange(at + 1, len(store.rows))]

    def deleted_and_closed(self, rng: random.Random, store: Store) -> None:
        self.deleted(rng, store)
        self.chain(store, store.first)

    def inserted(self, rng: random.Random, store: Store) -> None:
        """A forged record, and those after it moved on."""
        at = store.first = rng.randrange(1, len(store.rows) + 1)
        forged = rng.choice([row for row in self.store.rows if row.num != at])._replace(num=at)
        store.rows.insert(at, forged)
        self.chain(store, at, rng.choice([None, self.thief]))

    def doubled(self, rng: random.Random, store: Store) -> None:
        """A record twice, under one number."""
        at = rng.randrange(len(store.rows))
        store.rows.insert(at, store.rows[at])
        store.first = at + 1

    def swapped(self, rng: random.Random, store: Store) -> None:
        """Two records in each other's place."""
        one, two = sorted(rng.sample(range(len(store.rows)), 2))
        rows = store.rows
        rows[one], rows[two] = rows[two]._replace(num=one), rows[one]._replace(num=two)
        store.first = one

    def moved(self, rng: random.Random, store: Store) -> None:
        """A record to another place, and the chain made anew."""
        one, two = sorted(rng.sample(range(len(store.rows)), 2))
        store.rows.insert(two, store.rows.pop(one))
        self.chain(store, one)
        store.first = one

    def renumbered(self, rng: random.Random, store: Store) -> None:
        at = rng.randrange(len(store.rows))
        self.put(store, at, num=rng.choice([-1, len(store.rows), at + len(store.rows), 1 << 62]))
        store.first = ANY

    def bodies_swapped(self, rng: random.Random, store: Store) -> None:
        one, two = sorted(rng.sample(range(len(store.rows)), 2))
        bodies = store.rows[one].body, store.rows[two].body
        self.put(store, two, body=bodies[0])
        self.put(store, one, body=bodies[1])

    def tail_cut(self, rng: random.Random, store: Store) -> None:
        store.first = rng.randrange(1, len(store.rows))
        del store.rows[store.first :]

    def tail_and_a_copy_cut(self, rng: random.Random, store: Store) -> None:
        """The tail of the store and of one copy of its anchors."""
        self.tail_cut(rng, store)
        del rng.choice(store.copies)[store.first :]

    def spliced(self, rng: random.Random, store: Store) -> None:
        """A record of another store that has the same key, or all of its tail."""
        at = store.first = rng.randrange(1, len(store.rows))
        end = rng.choice([at + 1, len(store.rows)])
        store.rows[at:end] = self.other.rows[at:end]

    def other_store(self, rng: random.Random, store: Store) -> None:
        """Another store of the same key, whole, or with one copy of its anchors."""
        store.rows, store.first = list(self.other.rows), 0
        if rng.random() < 0.5:
            store.copies[rng.randrange(2)] = list(self.other.copies[0])

    def anchors_swapped(self, rng: random.Random, store: Store) -> None:
        """Two lines of the anchors in each other's place."""
        lines = rng.choice(store.copies)
        one, two = rng.sample(range(len(lines)), 2)
        lines[one], lines[two] = lines[two], lines[one]
        store.first = None

    def anchors_exchanged(self, rng: random.Random, store: Store) -> None:
        """One part of an anchor is that of another."""
        lines = rng.choice(store.copies)
        one, two = rng.sample(range(len(lines)), 2)
        parts, name = json.loads(lines[one]), rng.choice(["hash", "num", "signature"])
        parts[name] = json.loads(lines[two])[name]
        lines[one] = anchor_line(parts["num"], parts["hash"], parts["signature"])

    def anchor_byte(self, rng: random.Random, store: Store) -> None:
        lines = rng.choice(store.copies)
        at = rng.randrange(len(lines))
        lines[at] = other_text(rng, lines[at])

    def anchors_cut(self, rng: random.Random, store: Store) -> None:
        """The tail of a copy, with or without the same of the other and an edit behind it."""
        start = rng.randrange(1, len(store.rows))
        del store.copies[0][start:]
        if rng.random() < 0.5:
            del store.copies[1][start:]
            self.put(store, start, body=canonical({"kind": "review", "forged": rng.random()}))
            self.chain(store, start)
        else:
            store.first = None

    def anchors_lost(self, rng: random.Random, store: Store) -> None:
        store.copies[rng.randrange(2)] = []
        store.first = None

    def anchors_of_another(self, rng: random.Random, store: Store) -> None:
        """A line, or all, from the anchors of another store that has the same key."""
        lines, theirs = rng.choice(store.copies), self.other.copies[0]
        at = store.first = rng.randrange(len(lines))
        end = rng.choice([at + 1, len(lines)])
        lines[at:end] = theirs[at:end]

    def anchor_forged(self, rng: random.Random, store: Store) -> None:
        """A line more, of the thief's."""
        lines, num = rng.choice(store.copies), rng.randrange(len(store.rows) + 3)
        digest = f"{rng.getrandbits(256):064x}"
        when = rng.choice(["", "2026-11-29T12:00:00.000Z"])
        lines.insert(num, anchor_line(num, digest, self.thief.sign(num, digest, when), when))


def other_text(rng: random.Random, text: str) -> str:
    """A text with one letter changed, added or taken away."""
    at, letter = rng.randrange(len(text)), chr(rng.choice([*range(0x20, 0x7F), 0, 0xE9, 0x20AC]))
    changed = rng.choice(
        [text[:at] + letter + text[at + 1 :], text[:at] + letter + text[at:], text[:at] + text[at + 1 :]]
    )
    return changed if changed != text else text[:-1] + ("x" if text[-1] != "x" else "y")
