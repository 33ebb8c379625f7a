# SPDX-License-Identifier: Apache-2.0
"""The structure of a product's files after the ISTP Metadata Guidelines, compiled from definitions without data."""
