-- One row: what tells an older copy of this file from it. `vault` names this vault and no other;
-- `serial` is raised before each exposure, and `note` is what is noted of it outside of this file.
CREATE TABLE mark (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    vault  TEXT    NOT NULL,
    serial INTEGER NOT NULL,
    note   TEXT    NOT NULL
) STRICT;

INSERT INTO mark (id, vault, serial, note) VALUES (1, lower(hex(randomblob(16))), 0, '');
