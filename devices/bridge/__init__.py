"""Agent for a vendor's PC: the bridge's line protocol in front of a vendor's library.

Standard library only, so that ``python -m devices.bridge`` runs where nothing can be installed.
The protocol is defined in `docs/reference/bridge-protocol.md`.
"""
