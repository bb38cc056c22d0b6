"""Profiles that come with rawpipe: data, no code."""
