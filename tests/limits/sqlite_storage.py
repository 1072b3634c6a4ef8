"""A storage for `limits` that several processes of one machine reach, standing in for a Redis in the tests."""

from __future__ import annotations

import sqlite3

from limits.storage import Storage


class SqliteStorage(Storage):
    STORAGE_SCHEME = ["sqlite-test"]  # noqa: RUF012  as in the library

    def __init__(self, uri, wrap_exceptions=False, **_):
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self.path = uri.removeprefix("sqlite-test://")
        self._execute("CREATE TABLE IF NOT EXISTS counters (key TEXT PRIMARY KEY, value INTEGER)")

    def _execute(self, statement, *values):
        connection = sqlite3.connect(self.path, timeout=30)
        try:
            connection.execute("PRAGMA synchronous = OFF")
            with connection:
                return connection.execute(statement, values).fetchone()
        finally:
            connection.close()

    @property
    def base_exceptions(self):
        return sqlite3.Error

    def incr(self, key, expiry, amount=1):
        statement = (
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = value + excluded.value "
            "RETURNING value"
        )
        return self._execute(statement, key, amount)[0]

    def get(self, key):
        found = self._execute("SELECT value FROM counters WHERE key = ?", key)
        return found[0] if found else 0

    def get_expiry(self, key):
        raise NotImplementedError

    def check(self):
        return True

    def reset(self):
        raise NotImplementedError

    def clear(self, key):
        self._execute("DELETE FROM counters WHERE key = ?", key)
