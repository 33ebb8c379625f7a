# SPDX-License-Identifier: Apache-2.0
"""The command line and the night: which stage runs when, and what gates what."""
