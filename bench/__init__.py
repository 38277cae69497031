"""Measurements that print ratios and proofs; not tests."""
