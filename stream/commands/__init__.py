"""The commands of `vigil`, a module a group; `stream.cli` puts them together."""
