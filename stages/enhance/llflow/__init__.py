"""LLFlow: the distribution of well-exposed pictures given a dark one, by a conditional normalising flow."""
