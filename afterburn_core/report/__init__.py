"""Reporters: pure functions from a result document to the bytes of a file.

`presentation` and `numbers` hold every decision about order and wording, so that all formats say the same.
"""
