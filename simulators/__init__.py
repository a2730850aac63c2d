"""Devices that do not exist, replaying records that do, and hearts that are generated."""
