# SPDX-License-Identifier: Apache-2.0
"""How files get to recipients: into a folder or bucket, by SFTP, by HTTPS. What they share is `Transport`."""
