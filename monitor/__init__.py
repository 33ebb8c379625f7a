# SPDX-License-Identifier: Apache-2.0
"""Pictures for people: envelopes of channels, quick looks, the status site, and the viewer's server."""
