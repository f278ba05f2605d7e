-- One row: which key-encryption key this vault belongs to, and a known text sealed with it.
CREATE TABLE vault (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    key_id TEXT    NOT NULL,
    proof  BLOB    NOT NULL
) STRICT;

-- The data-encryption keys, each sealed with the key-encryption key. `used` counts what it sealed.
CREATE TABLE data_key (
    number  INTEGER PRIMARY KEY,
    key_id  TEXT    NOT NULL,
    wrapped BLOB    NOT NULL,
    created INTEGER NOT NULL,
    used    INTEGER NOT NULL
) STRICT;

-- The versions of all secrets, oldest first. A purged one keeps its row and loses its value.
CREATE TABLE secret (
    number   INTEGER PRIMARY KEY,
    name     TEXT    NOT NULL COLLATE NOCASE,
    version  TEXT    NOT NULL UNIQUE,
    tag      TEXT    NOT NULL,
    created  INTEGER NOT NULL,
    enabled  INTEGER NOT NULL,
    data_key INTEGER NOT NULL REFERENCES data_key (number),
    value    BLOB,
    UNIQUE (name, tag)
) STRICT;
