# SPDX-License-Identifier: Apache-2.0
"""A package of its own, for other distributions install one of this name, which would be found instead."""
