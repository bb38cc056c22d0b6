"""Configurations of trainings that come with the model: data, no code."""
