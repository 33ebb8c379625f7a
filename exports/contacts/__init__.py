# SPDX-License-Identifier: Apache-2.0
"""Passes: what was planned and what came; what the mission operations center is told of it."""
