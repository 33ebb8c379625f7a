# SPDX-License-Identifier: Apache-2.0
"""Where telemetry comes from: folders, buckets, SFTP servers, uploads. What they share is `nouns.Source`."""
