# SPDX-License-Identifier: Apache-2.0
"""Delivery: who gets which product, how it gets there, and what everyone has received."""
