# SPDX-License-Identifier: Apache-2.0
"""Simulators of PADRE's instruments."""
