"""Words as a small lexical matcher sees them: lower case, without endings and function words."""

import re

_WORD = re.compile(r"[a-zà-öø-ÿ]+|\d+(?:[.,]\d+)*", re.I)
_COMPOUND = re.compile(r"\w+(?:-\w+)*")
_CONTRACTED = re.compile(r"n['’]t\b|['’](?:s|re|ve|ll|d|m)\b", re.I)
_STOP = frozenset({
    "a", "an", "the", "this", "that", "these", "those", "it", "its", "i", "me", "my", "mine",
    "we", "us", "our", "you", "your", "they", "them", "their", "he", "she", "his", "her", "is",
    "are", "was", "were", "be", "been", "being", "am", "do", "does", "did", "doing", "done",
    "have", "has", "had", "having", "will", "would", "can", "could", "shall", "should", "may",
    "might", "must", "of", "to", "in", "on", "at", "by", "for", "from", "with", "about", "into",
    "as", "and", "or", "but", "if", "so", "than", "then", "there", "here", "when", "what",
    "which", "who", "whom", "how", "why", "where", "please", "hi", "hello", "hey", "thanks",
    "thank", "want", "wanted", "like", "need", "just", "also", "get", "got", "let",
})  # fmt: skip


def words(text: str) -> list[str]:
    """Words and numbers in order and lower case; digits and letters part ("4ft" is "4", "ft")."""
    return [word.lower() for word in _WORD.findall(_CONTRACTED.sub("", text))]


def stem(word: str) -> str:
    """The word without its plural or verb ending: bottles, returned and returning lose it."""
    for ending, left in (("ies", "y"), ("sses", "s"), ("ches", "ch"), ("shes", "sh"), ("xes", "x")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + left
    if len(word) > 5 and word.endswith(("ing", "ed")):
        word = word[: -3 if word.endswith("ing") else -2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if len(word) > 3:
        word = word.removesuffix("e")
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def stems(text: str) -> set[str]:
    """The stems of the words that carry meaning; compounds ("in-ear", "A5") whole and in parts."""
    found = words(text)
    whole = {compound.lower() for compound in _COMPOUND.findall(text)} - set(found)
    mixed = {each for each in whole if not each.isalpha() and not each.isdigit()}
    return {stem(word) for word in found if word not in _STOP} | mixed
