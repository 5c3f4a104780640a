"""Models behind one word, `provider:model`: local ones that need no key, or hosted ones."""
