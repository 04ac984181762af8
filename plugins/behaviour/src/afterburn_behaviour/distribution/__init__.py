"""Analyzers and the judge of next-token distributions: divergence, cross-scoring, perplexity."""
