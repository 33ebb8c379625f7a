# SPDX-License-Identifier: Apache-2.0
"""Everything that leaves the lake: CDF products."""
