"""How good a model is on real pairs: named protocols, scores, and tables that say how they came about."""
