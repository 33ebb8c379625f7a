# SPDX-License-Identifier: Apache-2.0
"""The rules that a product has to pass before anyone sees it."""
