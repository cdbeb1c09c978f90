"""Plain English into a `TextQuery`: negation and space, which CLIP does not understand.

"the red mug left of the laptop but not the blue one" becomes the phrase "red mug", the relation
left_of "laptop" and the exclusion "blue mug". What is not understood stays part of the phrase.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from semantic_field_ros.queries.base import Relation, TextQuery

#: words for each relation; longer ones are tried first.
_RELATION_WORDS = {
    "left_of": ("to the left of", "on the left of", "left of"),
    "right_of": ("to the right of", "on the right of", "right of"),
    "in_front_of": ("in front of",),
    "behind": ("behind", "in back of"),
    "near": ("next to", "close to", "beside", "near", "nearby", "by"),
    "on": (
        "standing on top of",
        "lying on top of",
        "standing on",
        "lying on",
        "sitting on",
        "on top of",
        "on",
    ),
    "under": ("underneath", "beneath", "below", "under"),
    "inside": ("inside of", "inside", "within", "in"),
}
_NEGATIONS = ("but not", "and not", "except for", "except", "other than", "not", "without")
_REQUESTS = r"(?:please |can you |could you )*(?:find|show|give|get|locate|search for|look for|"
_REQUESTS += r"where is|where are|where's|what is|point at|point to)(?: me)?"
_ARTICLES = r"(?:the|a|an|any|some|all|that|this|my)"
_LINKS = r"(?:that|which|is|are|stands|lies|standing|lying|and|but)"
_PLACEHOLDERS = r"(?:one|ones|thing|things)"

_METRES = {
    "m": 1.0,
    "metre": 1.0,
    "meter": 1.0,
    "cm": 0.01,
    "centimetre": 0.01,
    "centimeter": 0.01,
}
_KEEP_AWAY = re.compile(
    r"^(?:please )?(?:keep|stay)(?: at least)?"
    rf"(?: (?P<number>\d+(?:\.\d*)?) ?(?P<unit>{'|'.join(_METRES)})s?)?"
    r" (?:away from|clear of|off) (?P<text>\S.*)$"
)

_BY_WORDS = {words: name for name, options in _RELATION_WORDS.items() for words in options}
_SPLIT = re.compile(
    r"\b(" + "|".join(sorted([*_BY_WORDS, *_NEGATIONS], key=len, reverse=True)) + r")\b(?=\s+\S)"
)


@dataclass(frozen=True)
class _Clause:
    """What comes after a relation or a negation; `words` is "" for the beginning."""

    words: str
    phrase: str


@dataclass(frozen=True)
class KeepAway:
    """A wish for a keep-out zone.

    Attributes:
        text: what to keep away from, for `parse`.
        radius_m: how far; None = it was not said.
    """

    text: str
    radius_m: float | None


def keep_away(sentence: str) -> KeepAway | None:
    """The wish in "keep away from the plant" or "stay 50 cm away from it"; None if it is none."""
    match = _KEEP_AWAY.match(" ".join(sentence.lower().strip(" .?!").split()))
    if match is None:
        return None
    number, unit = match["number"], match["unit"]
    radius_m = None if number is None else float(number) * _METRES[unit]
    return KeepAway(match["text"], radius_m)


def parse(sentence: str) -> TextQuery:
    """A sentence as a query; a plain phrase stays as it is, but for articles and case.

    Args:
        sentence: for example "the red mug left of the laptop but not the blue one".
    """
    head, *clauses = _clauses(" ".join(sentence.lower().strip(" .?!").split()))
    text = re.sub(rf"^{_REQUESTS}\b\s*", "", head.phrase)
    text = _without_articles(text)
    if not text:  # "on the table" or "not red": there is nothing to relate
        return TextQuery(_without_articles(sentence.strip()))
    query = TextQuery(text)
    for clause in clauses:
        query = _with_clause(query, clause)
    return query


def _clauses(sentence: str) -> list[_Clause]:
    """The beginning, and what comes after it that is not empty."""
    first, *parts = _SPLIT.split(sentence)
    clauses = [_Clause("", first.strip())]
    for words, part in zip(parts[::2], parts[1::2], strict=True):
        phrase = part.strip(" ,")
        if clauses[-1].words in _NEGATIONS and not clauses[-1].phrase:
            # A relation that must not hold is none that can be asked for: "not on the table".
            negation, before = clauses.pop().words, clauses.pop()
            phrase = f"{before.phrase} {negation} {words} {phrase}".strip()
            words = before.words
        clauses.append(_Clause(words, phrase))
    return [clauses[0], *(clause for clause in clauses[1:] if clause.phrase)]


def _with_clause(query: TextQuery, clause: _Clause) -> TextQuery:
    if clause.words in _NEGATIONS:
        return replace(query, exclude=(*query.exclude, _excluded(clause.phrase, query.text)))
    relation = Relation(_BY_WORDS[clause.words], _without_articles(clause.phrase))
    return replace(query, relations=(*query.relations, relation))


def _excluded(phrase: str, text: str) -> str:
    """After "red mug", "the blue one" and a bare "blue" mean "blue mug", "a laptop" itself."""
    bare = _without_articles(phrase)
    words = re.sub(rf"\b{_PLACEHOLDERS}\b", "", bare).split()
    stands_for_noun = len(words) < len(bare.split()) or bare == phrase.strip()
    noun = text.split()[-1]
    return " ".join([*words, noun] if stands_for_noun and noun not in words else words)


def _without_articles(phrase: str) -> str:
    phrase = re.sub(rf"(?:[\s,]+{_LINKS})+$", "", phrase.strip(" ,"))
    return re.sub(rf"^(?:{_ARTICLES}\s+)+", "", phrase, flags=re.IGNORECASE).strip(" ,")
