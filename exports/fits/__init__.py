# SPDX-License-Identifier: Apache-2.0
"""Products as FITS files, made from the published CDFs."""
