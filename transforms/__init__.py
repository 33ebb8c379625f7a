# SPDX-License-Identifier: Apache-2.0
"""From L0 to L1, quick look and beyond: the engine, and one function for each table."""
