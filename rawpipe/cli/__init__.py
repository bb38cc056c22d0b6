"""The `rawpipe` command."""
