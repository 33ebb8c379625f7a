# SPDX-License-Identifier: Apache-2.0
"""A team's folder that is kept equal to a place of ours: a bucket, an SFTP server, another folder."""
