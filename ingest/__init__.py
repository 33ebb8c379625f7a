# SPDX-License-Identifier: Apache-2.0
"""From raw files to L0: landing, packets, columns, and the books on every byte."""
