# SPDX-License-Identifier: Apache-2.0
"""Benchmarks side by side with what users would pick instead."""
