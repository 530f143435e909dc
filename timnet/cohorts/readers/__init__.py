"""Readers: one module a source, each turning an export into study records and importing it with `run`."""
