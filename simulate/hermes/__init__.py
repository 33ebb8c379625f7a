# SPDX-License-Identifier: Apache-2.0
"""Simulators of the HERMES instruments."""
