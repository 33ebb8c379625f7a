# SPDX-License-Identifier: Apache-2.0
"""Telling it: who is told of which alert, by what channel, and that nothing of it is lost."""
