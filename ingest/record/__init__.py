# SPDX-License-Identifier: Apache-2.0
"""Raw files that hold records: rows of CSV, JSON lines and Parquet files, and orbit elements."""
