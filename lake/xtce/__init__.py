# SPDX-License-Identifier: Apache-2.0
"""XTCE files as packets, calibrations and limits."""
