"""Words that an English tokenizer lists as they are: abbreviations, contractions, times of day.

Their places of cutting do not follow from their characters (``Dr.`` keeps its dot, ``don't`` is cut
before the *n*), so they are listed. Contractions are made from their parts: the words that take an
ending, and the endings, each with the straight, the typographic and no apostrophe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_ABBREVIATIONS = """
    a. b. c. d. e. f. g. h. i. j. k. l. m. n. o. p. q. r. s. t. u. v. w. x. y. z. ä. ö. ü.
    Adm. Bros. Co. co. Corp. D.C. Dr. E.G. E.g. e.g. Gen. Gov. I.E. I.e. i.e. Inc. Jr. Ltd. Md.
    Messrs. Mo. Mont. Mr. Mrs. Ms. Mt. Ph.D. Prof. Rep. Rev. Sen. St. a.m. p.m. v.s. vs.
    Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. Oct. Nov. Dec.
    Ak. Ala. Ariz. Ark. Calif. Colo. Conn. Del. Fla. Ga. Ia. Id. Ill. Ind. Kan. Kans. Ky. La.
    Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Okla. Ore. Pa. S.C.
    Tenn. Va. Wash. Wis.
"""
_ALSO_WHOLE = """
    '' ’’ 's 'S ’s ’S 'd ’d 'll ’ll 're ’re 'em ’em 'bout ’bout 'cause ’cause 'Cause ’Cause 'cos
    ’cos 'Cos ’Cos 'coz ’coz 'Coz ’Coz 'cuz ’cuz 'Cuz ’Cuz 'nuff ’nuff ‘s ‘S 8) C++ and/or w/o
"""
_EMOTICONS = """
    :) :( :/ :* :> :| :] :} :0 :1 :3 :D :O :P :X :o :p :x ;) ;D 8D =) =( =/ =3 =D =[ =] =| ): (:
    (; (= [: [= ]= <3 </3 :-) :-( ;-) :-D (-: (-8
"""
"""Sequences that occur by accident (``(2 Pack):``) or on cheerful mugs."""

_NO_LAST_LETTER = ("doin", "goin", "havin", "lovin", "nothin", "nuthin", "somethin", "ol")
"""Written with an apostrophe in place of the last letter."""

_NEGATED = "ai are dare has have is was were"
_NEGATED_WITH_HAVE = "ca could did do does had may might must need ought sha should wo would"
_ENDINGS: Mapping[str, str] = {
    "i": "d d|ve ll ll|ve m m|a ve",
    "he she": "d d|ve ll ll|ve s",
    "it that this": "d d|ve ll ll|ve s",
    "we you they these those": "d d|ve ll ll|ve re ve",
    "how what when where who why there": "d d|ve ll ll|ve re s ve",
    "could might must should would not": "ve",
}
_WORDS_OF_THEIR_OWN = frozenset(
    {"hell", "id's", "ill", "its", "shed", "shell", "well", "were", "whore"}
)
"""What a contraction without its apostrophe would be taken for."""

_TWO_WORDS = (("can", "not"), ("gon", "na"), ("got", "ta"))
_WITH_APOSTROPHE_ONLY = (("let", "'s"), ("c'm", "on"), ("how", "'d", "'y"))


def whole_words() -> Iterator[str]:
    """Words that are one token although an end of theirs looks like punctuation."""
    yield from _ABBREVIATIONS.split()
    yield from _ALSO_WHOLE.split()
    yield from _EMOTICONS.split()
    for word in _NO_LAST_LETTER:
        for written in (word, word.capitalize()):
            yield from (f"{written}'", f"{written}’")


def cut_words() -> Iterator[tuple[str, ...]]:
    """The parts of words that are cut between two letters."""
    for parts in _contractions():
        yield parts
        yield (parts[0].capitalize(), *parts[1:])
    yield from (("y", "all"), ("y'", "all"), ("y’", "all"))
    for hour in range(1, 13):
        yield from ((str(hour), half) for half in ("am", "pm", "a.m.", "p.m."))
    yield from (("°", scale, ".") for scale in "CFKcfk")


def _contractions() -> Iterator[tuple[str, ...]]:
    for apostrophe in ("'", "’", ""):
        for verb in f"{_NEGATED} {_NEGATED_WITH_HAVE}".split():
            yield verb, f"n{apostrophe}t"
        for verb in _NEGATED_WITH_HAVE.split():
            yield verb, f"n{apostrophe}t", f"{apostrophe}ve"
        for verbs, endings in _ENDINGS.items():
            for base in verbs.split():
                yield from _with_endings(base, endings, apostrophe)
    yield from _TWO_WORDS
    for parts in _WITH_APOSTROPHE_ONLY:
        yield parts
        yield tuple(part.replace("'", "’") for part in parts)


def _with_endings(word: str, endings: str, apostrophe: str) -> Iterator[tuple[str, ...]]:
    for ending in endings.split():
        # The last part of "I'ma" has no apostrophe of its own.
        parts = tuple(p if p == "a" else apostrophe + p for p in ending.split("|"))
        if "".join((word, *parts)) not in _WORDS_OF_THEIR_OWN:
            yield word, *parts
