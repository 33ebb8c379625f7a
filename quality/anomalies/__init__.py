# SPDX-License-Identifier: Apache-2.0
"""What is not as usual in the channels and days of watched tables."""
