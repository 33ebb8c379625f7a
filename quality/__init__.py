# SPDX-License-Identifier: Apache-2.0
"""Metrics of table-days and their judgement."""
