-- What the Key Vault API keeps beside a value. Times are seconds since 1970; `updated` is NULL where
-- nothing was changed since the version was made, `tags` is a JSON object or NULL.
ALTER TABLE secret ADD COLUMN updated INTEGER;
ALTER TABLE secret ADD COLUMN not_before INTEGER;
ALTER TABLE secret ADD COLUMN expires INTEGER;
ALTER TABLE secret ADD COLUMN content_type TEXT;
ALTER TABLE secret ADD COLUMN tags TEXT;

-- The newest version of a name, and the names in their order, without those that were purged.
CREATE INDEX secret_by_name ON secret (name, number) WHERE value IS NOT NULL;

-- Names that were deleted and can be recovered: their versions keep their values.
CREATE TABLE deleted (
    name     TEXT    NOT NULL PRIMARY KEY COLLATE NOCASE,
    at       INTEGER NOT NULL,
    purge_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
