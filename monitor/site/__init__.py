# SPDX-License-Identifier: Apache-2.0
"""The status site: static pages about the lake, written anew where they changed."""
