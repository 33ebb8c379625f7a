# SPDX-License-Identifier: Apache-2.0
"""Ways to places of others: a folder, a bucket, SFTP, HTTPS. Products, telemetry and copies travel on them."""
