"""Analyzers of models in memory: what amplifying or scaling the change of the weights does to texts."""
