# SPDX-License-Identifier: Apache-2.0
"""What is known of a dataset before any data: master CDF, skeleton, SPASE record, and the lock of its structure."""
