"""The steps of the knowledge pipeline: load, clean, split, embed, publish."""
