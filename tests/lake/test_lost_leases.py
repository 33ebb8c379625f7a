# SPDX-License-Identifier: Apache-2.0
"""Leases in S3 whose renewals fail or go unheard: kept if they can be, given back, and never relied on if lost."""

from __future__ import annotations

import time

import pytest

from lake.errors import ConfigurationError, StorageError
from lake.lease_s3 import FREE, Lease
from lake.storage_s3 import Bucket
from tests.lake.test_leases import LONG_SECONDS, until

KEY = "locks/ingest.json"


@pytest.fixture
def bucket(s3_root, monkeypatch) -> Bucket:
    monkeypatch.setenv("SWXLAKE_LEASE_SECONDS", str(LONG_SECONDS))
    return Bucket(s3_root)


def test_a_renewal_is_one_call_that_ends_within_the_lease(bucket):
    config = Lease(bucket, KEY, 60.0).hurried.client.meta.config
    assert (config.connect_timeout, config.read_timeout) == (10.0, 15.0)
    assert config.retries["total_max_attempts"] == 1
    assert bucket.client.meta.config.retries["total_max_attempts"] == 12


def test_renewals_go_on_after_credentials_that_were_not_there_for_a_moment(bucket, monkeypatch, caplog):
    monkeypatch.setenv("SWXLAKE_LEASE_SECONDS", "4")
    put_if, refusals = Bucket.put_if, [ConfigurationError("no credentials"), StorageError("no answer")]

    def refusing(self: Bucket, key: str, body: bytes, **condition: str) -> str | None:
        if b"beat" in body and refusals:
            raise refusals.pop()
        return put_if(self, key, body, **condition)

    monkeypatch.setattr(Bucket, "put_if", refusing)
    with bucket.alone("ingest", 0):
        until(lambda: b"beat" in bucket.read(KEY))
        bucket.still_alone()
    assert caplog.text.count("the lease was not renewed") == 2
    assert bucket.read(KEY) == FREE


def test_a_lease_that_another_process_has_is_not_relied_on(bucket, monkeypatch, caplog):
    monkeypatch.setenv("SWXLAKE_LEASE_SECONDS", "4")
    with bucket.alone("ingest", 0):
        bucket.put(KEY, b'{"host": "elsewhere", "pid": 1, "since": "2026-08-01T00:00:00Z"}')
        until(lambda: "taken over" in caplog.text)
        with pytest.raises(StorageError, match=r"ingest\.json: another process may have taken over"):
            bucket.still_alone()
    assert "was not given back: another process has it" in caplog.text
    bucket.still_alone()


def test_a_lease_that_nobody_could_renew_in_time_is_not_relied_on(bucket, monkeypatch):
    with bucket.alone("ingest", 0):
        bucket.still_alone()
        later = time.monotonic() + LONG_SECONDS + 1
        with monkeypatch.context() as patch:
            patch.setattr("lake.lease_s3.time.monotonic", lambda: later)
            with pytest.raises(StorageError, match="may have taken over"):
                bucket.still_alone()


def test_a_lease_is_given_back_after_a_renewal_that_nobody_heard_of(bucket):
    lease = Lease(bucket, KEY, LONG_SECONDS)
    assert lease.attempt() is None
    assert bucket.put_if(KEY, lease.text[:-1] + b', "beat": 1}', IfMatch=lease.tag)
    lease.release()
    assert bucket.read(KEY) == FREE
