# SPDX-License-Identifier: Apache-2.0
"""How packets lie in raw files: one after the other, between markers, in transfer frames, in parts."""
