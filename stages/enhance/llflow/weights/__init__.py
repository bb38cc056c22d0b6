"""Weights that come with rawpipe, and a card for each."""
