"""The table of reviews in SQLite and in PostgreSQL, and its guards: rows are only ever appended, in order.

What can be looked for (study, decision) is computed by the database from the text that is hashed, so that it cannot say
anything else. A later layout gets definitions and a migration of its own; these stay as they are.
"""

from collections.abc import Mapping

from sqlalchemy import BigInteger, Column, Connection, FetchedValue, Index, MetaData, Table, Text, text

LAYOUT = "v0001"
VERSION_TABLE = "reviews_layout"  # of Alembic
METADATA = MetaData()
REVIEWS = Table(
    "reviews",
    METADATA,
    Column("num", BigInteger, primary_key=True, autoincrement=False),
    Column("previous", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("study", Text, FetchedValue()),
    Column("decision", Text, FetchedValue()),
    Column("reason_code", Text, FetchedValue()),
    Index("reviews_study", "study"),
)
COMPUTED = ("study", "decision", "reason_code")
STORED = [REVIEWS.c[name] for name in ("num", "previous", "body", "hash", "signature")]

_TABLE = """CREATE TABLE reviews (
  num BIGINT NOT NULL PRIMARY KEY,
  previous TEXT NOT NULL,
  body TEXT NOT NULL,
  hash TEXT NOT NULL,
  signature TEXT NOT NULL,
  {computed},
  CONSTRAINT override_has_reason CHECK (coalesce(decision, '') <> 'override' OR coalesce(reason_code, '') <> '')
)"""
_INDEX = "CREATE INDEX reviews_study ON reviews (study)"
_NEXT = "SELECT coalesce(max(num) + 1, 0) FROM reviews"
_RAISE = "BEGIN SELECT RAISE(ABORT, 'reviews are only ever appended'); END"
SQLITE = (
    _TABLE.format(
        computed=",\n  ".join(
            f"{name} TEXT GENERATED ALWAYS AS (json_extract(body, '$.{name}')) VIRTUAL" for name in COMPUTED
        )
    ),
    _INDEX,
    f"CREATE TRIGGER reviews_no_update BEFORE UPDATE ON reviews {_RAISE}",
    f"CREATE TRIGGER reviews_no_delete BEFORE DELETE ON reviews {_RAISE}",
    f"CREATE TRIGGER reviews_in_order BEFORE INSERT ON reviews WHEN NEW.num <> ({_NEXT}) {_RAISE}",
)
GUARD = f"""
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.num = ({_NEXT}) THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'reviews are only ever appended';
END
"""
_TRIGGERS = ("reviews_rows", "reviews_truncate")
POSTGRESQL = (
    _TABLE.format(
        computed=",\n  ".join(
            f"{name} TEXT GENERATED ALWAYS AS (CAST(body AS jsonb) ->> '{name}') STORED" for name in COMPUTED
        )
    ),
    _INDEX,
    f"CREATE FUNCTION reviews_guard() RETURNS trigger LANGUAGE plpgsql AS $${GUARD}$$",
    f"CREATE TRIGGER {_TRIGGERS[0]} BEFORE INSERT OR UPDATE OR DELETE ON reviews"
    " FOR EACH ROW EXECUTE FUNCTION reviews_guard()",
    f"CREATE TRIGGER {_TRIGGERS[1]} BEFORE TRUNCATE ON reviews FOR EACH STATEMENT EXECUTE FUNCTION reviews_guard()",
    *(f"ALTER TABLE reviews ENABLE ALWAYS TRIGGER {name}" for name in _TRIGGERS),
)
DEFINITIONS: Mapping[str, tuple[str, ...]] = {"sqlite": SQLITE, "postgresql": POSTGRESQL}


def guard_fault(connection: Connection) -> str:
    """Return what is wrong with the table's guards; "" where they are as they were made."""
    if connection.dialect.name == "sqlite":
        return _sqlite_fault(connection)
    return _postgresql_fault(connection)


def _sqlite_fault(connection: Connection) -> str:
    found = text("SELECT sql FROM sqlite_master WHERE tbl_name = 'reviews' AND sql IS NOT NULL")
    if set(connection.scalars(found)) != set(SQLITE):
        return "the table's definition, its triggers or its index are not as they were made: somebody changed them"
    said = connection.scalar(text("PRAGMA integrity_check(1)"))
    return "" if said == "ok" else f"the database is damaged ({said})"


def _postgresql_fault(connection: Connection) -> str:
    triggers = text("SELECT tgname FROM pg_trigger WHERE tgrelid = CAST('reviews' AS regclass) AND tgenabled = 'A'")
    guard = text("SELECT prosrc FROM pg_proc WHERE oid = CAST('reviews_guard' AS regproc)")
    computed = text(
        "SELECT attname FROM pg_attribute WHERE attrelid = CAST('reviews' AS regclass) AND attgenerated = 's'"
    )
    checks = text("SELECT conname FROM pg_constraint WHERE conrelid = CAST('reviews' AS regclass) AND contype = 'c'")
    as_made = (
        set(connection.scalars(triggers)) == set(_TRIGGERS)
        and connection.scalar(guard) == GUARD
        and set(connection.scalars(computed)) == set(COMPUTED)
        and set(connection.scalars(checks)) == {"override_has_reason"}
    )
    return "" if as_made else "the table's triggers, checks or computed columns are not as they were made"
