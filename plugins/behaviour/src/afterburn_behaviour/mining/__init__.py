"""Diff mining: which tokens training made likelier or less likely, over all of a neutral text."""
