# SPDX-License-Identifier: Apache-2.0
"""The telemetry viewer: pages of channels, and the server that zooms to raw rows."""
