# SPDX-License-Identifier: Apache-2.0
"""Nouns and storage: definitions, time, Delta tables, raw archive, catalog. Imports no other stage."""
