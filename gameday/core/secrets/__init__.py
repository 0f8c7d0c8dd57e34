"""Secrets: what must not be shown, what is masked in records, and the key that signs them."""
