# SPDX-License-Identifier: Apache-2.0
"""Copies of a lake at other places: objects by the hash of their bytes, and lists that say what a lake was made of."""
