# SPDX-License-Identifier: Apache-2.0
"""Envelopes of channels: least, greatest and mean value of each minute, hour and day, so that no spike is hidden."""
