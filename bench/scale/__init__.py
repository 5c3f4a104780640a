"""How far one core carries, what two workers add, and what is turned away beyond."""
