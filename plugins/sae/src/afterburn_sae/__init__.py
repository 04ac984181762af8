"""Sparse dictionaries: which of their features did training switch on and off?"""
