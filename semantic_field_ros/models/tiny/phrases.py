"""What the bundled language model reads: phrases with what they say of a thing.

A phrase names a category, a colour or both; surfaces have names of their own. A word the model
was never taught becomes one and the same unknown token, so that it can learn that "red" beside an
unknown noun is not every red thing, and a lone unknown word is nothing it sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GENERIC = ("object", "things", "stuff", "texture")
TEMPLATES = (
    "{}", "{}", "{}", "a {}", "the {}", "a photo of a {}", "a photo of the {}", "an {}",
    "find the {}", "where is the {}", "my {}", "this {}", "one {}", "picture of a {}",
)  # fmt: skip
PLURALS = ("{}", "the {}", "some {}", "all {}", "photo of {}")
MODIFIERS = ("small", "big", "large", "little", "shiny", "old", "new", "nice")
COLOUR_ONLY = (
    "something {}", "{} thing", "{} object", "anything {}", "a {} thing", "the {} thing", "{}",
    "{} things", "{} objects",
)  # fmt: skip
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
SPELLINGS = {"cyan": ("turquoise",), "purple": ("violet",), "sofa": ("couch",)}


@dataclass(frozen=True)
class Meaning:
    """What a phrase asks for; an empty part asks for nothing.

    Attributes:
        colour, category: what the thing must have; "" = any.
        known: False where an unknown word makes the phrase name nothing there is.
    """

    colour: str = ""
    category: str = ""
    known: bool = True

    def fits(self, colour: str, category: str) -> bool:
        """Whether it describes a thing of that colour ("" = none) and category."""
        return (
            self.known
            and self.colour in ("", colour)
            and self.category in ("", category)
            and (self.colour, self.category) != ("", "")
        )


def plural(noun: str) -> str:
    """English plural of the last word."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    return noun[:-1] + "ves" if noun.endswith("lf") else noun + "s"


def say(meaning: Meaning, rng: np.random.Generator) -> str:
    """One of many ways to put a meaning into words."""
    if not meaning.known:
        return _say_unknown(meaning, rng)
    colour = _spelling(meaning.colour, rng)
    if not meaning.category:
        return str(rng.choice(COLOUR_ONLY)).format(colour)
    noun = _spelling(meaning.category, rng)
    several = rng.random() < 0.2
    name = f"{colour} {plural(noun) if several else noun}".strip()
    if rng.random() < 0.12:
        name = f"{rng.choice(MODIFIERS)} {name}"
    if rng.random() < 0.06:
        name = f"{UNKNOWN} {name}"
    return str(rng.choice(PLURALS if several else TEMPLATES)).format(name)


def _spelling(word: str, rng: np.random.Generator) -> str:
    others = SPELLINGS.get(word, ())
    return str(rng.choice((word, *others))) if others and rng.random() < 0.3 else word


def _say_unknown(meaning: Meaning, rng: np.random.Generator) -> str:
    """The colour, if any, with one to three unknown tokens in a template."""
    noun = " ".join([UNKNOWN] * int(rng.integers(1, 4)))
    colour = _spelling(meaning.colour, rng)
    return str(rng.choice(TEMPLATES)).format(f"{colour} {noun}".strip())


def every_word(categories: tuple[str, ...], colours: tuple[str, ...]) -> list[str]:
    """Phrases that between them use every word (and so every token) of training."""
    nouns = [*categories, *(plural(c) for c in categories)]
    spellings = [s for many in SPELLINGS.values() for s in many]
    spellings += [plural(s) for s in spellings]
    shells = [t.format("") for t in (*TEMPLATES, *PLURALS, *COLOUR_ONLY)]
    return [*nouns, *colours, *spellings, *GENERIC, *MODIFIERS, *shells]
