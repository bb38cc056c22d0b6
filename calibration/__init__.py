"""Captures in, camera profile out."""
