-- One row per fabric: where its journal ends. `key` is the id in lower case, `name` as first given.
CREATE TABLE fabric (
    id       INTEGER PRIMARY KEY,
    key      TEXT    NOT NULL UNIQUE,
    name     TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    digest   BLOB    NOT NULL
) STRICT;

-- The journals. `digest` is SHA-256 over the digest of the event before and `body`.
CREATE TABLE event (
    fabric   INTEGER NOT NULL REFERENCES fabric (id),
    revision INTEGER NOT NULL,
    body     TEXT    NOT NULL,
    digest   BLOB    NOT NULL,
    PRIMARY KEY (fabric, revision)
) STRICT, WITHOUT ROWID;

-- The newest snapshot of each fabric. `digest` covers the digest of event `revision` and `state`.
CREATE TABLE snapshot (
    fabric   INTEGER PRIMARY KEY REFERENCES fabric (id),
    revision INTEGER NOT NULL,
    state    TEXT    NOT NULL,
    digest   BLOB    NOT NULL
) STRICT;
