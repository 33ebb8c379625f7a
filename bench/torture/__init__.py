# SPDX-License-Identifier: Apache-2.0
"""Fault injection: what the lake must survive, and the figures that say whether it does."""
