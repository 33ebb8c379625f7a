# SPDX-License-Identifier: Apache-2.0
"""Opening a source. What a way costs to import, only who takes it pays."""

from __future__ import annotations

from ingest.sources.nouns import Source
from ingest.sources.settings import SourceSettings


def open_source(name: str, settings: SourceSettings) -> Source:
    """The source, open. Raises WayError, which begins with `source NAME`, if it cannot be reached."""
    if settings.folder is not None:
        from ingest.sources.folder import open_folder  # noqa: PLC0415

        return open_folder(name, settings.folder, settings.subfolders)
    if settings.s3 is not None:
        from ingest.sources.bucket import open_bucket  # noqa: PLC0415

        return open_bucket(name, settings.s3, settings.s3.queue)
    assert settings.sftp is not None, "the settings have exactly one way"  # noqa: S101
    from ingest.sources.sftp import open_sftp  # noqa: PLC0415

    return open_sftp(name, settings.sftp)
