# SPDX-License-Identifier: Apache-2.0
"""Quick looks: pictures of product-days, and of mission days on one time axis."""
