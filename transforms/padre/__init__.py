# SPDX-License-Identifier: Apache-2.0
"""Transforms of PADRE's instruments."""
