# SPDX-License-Identifier: Apache-2.0
"""The HAPI server: rows of tables as the Heliophysics API gives them, equal to those of the CDF files."""
