"""Roles: what a sequence may ask of an instrument, and the bluesky devices made of them."""
