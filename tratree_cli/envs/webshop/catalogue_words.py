"""The words of the embedded catalogue: five departments, a small closed vocabulary.

A tiny model has only the words of its pretraining, so the shop is written with a few hundred
of them. Two properties make the shop a reading task and are checked by tests:

* ``finishes`` are participles (``quilted``) whose gerund (``quilting``) has the same Porter stem
  but does not contain them. A product's description names its neighbours' finishes as gerunds, so
  the search engine cannot separate the neighbours although titles and reward can.
* no attribute is contained in, or nearly equal to, another word: a match in the reward is a match.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Department:
    """One of the original's five categories and the words its products are made of.

    ``finishes`` maps participle to gerund; ``features`` are attributes that no title shows (they
    stand on the Features page); ``options`` maps group name to possible values.
    """

    name: str
    path: str
    nouns: tuple[str, ...]
    plural: frozenset[str]
    materials: tuple[str, ...]
    finishes: dict[str, str]
    features: tuple[str, ...]
    options: dict[str, tuple[str, ...]]


def _gerunds(participles: str) -> dict[str, str]:
    return {participle: participle.removesuffix("ed") + "ing" for participle in participles.split()}


_COLORS = "red blue green black white pink purple yellow orange brown gray gold"
COLORS = tuple(_COLORS.split())

DEPARTMENTS: tuple[Department, ...] = (
    Department(
        name="fashion",
        path="Clothing, Shoes & Jewelry › Everyday Wear",
        nouns=("coat", "jacket", "shirt", "dress", "sweater", "scarf", "boots"),
        plural=frozenset({"boots"}),
        materials=("wool", "cotton", "linen", "leather", "silk", "velvet", "fleece", "nylon"),
        finishes=_gerunds(
            "quilted padded hooded knitted pleated striped cropped belted ribbed dotted"
        ),
        features=("machine washable", "quick drying", "water resistant", "easy care"),
        options={"color": COLORS, "size": ("small", "medium", "large", "petite", "tall")},
    ),
    Department(
        name="garden",
        path="Home & Kitchen › Furniture & Decor",
        nouns=("chair", "table", "bench", "lamp", "shelf", "basket", "mirror"),
        plural=frozenset(),
        materials=("oak", "pine", "bamboo", "marble", "glass", "rattan", "iron", "ceramic"),
        finishes=_gerunds(
            "carved framed polished glazed cushioned mounted weighted etched curved painted"
        ),
        features=("fade proof", "ready assembled", "stain resistant", "space saving"),
        options={"color": COLORS, "style": ("modern", "rustic", "vintage", "classic", "nordic")},
    ),
    Department(
        name="electronics",
        path="Electronics › Accessories & Supplies",
        nouns=("charger", "speaker", "keyboard", "headset", "cable", "camera"),
        plural=frozenset(),
        materials=("wireless", "usb", "bluetooth", "solar", "portable", "mini", "digital", "car"),
        finishes=_gerunds(
            "shielded braided insulated heated backlighted grounded mirrored sealed hardened tilted"
        ),
        features=("fast charging", "noise cancelling", "long lasting", "plug ready"),
        options={"color": COLORS, "length": ("1m", "2m", "3m", "5m", "8m")},
    ),
    Department(
        name="beauty",
        path="Beauty & Personal Care › Skin & Hair",
        nouns=("shampoo", "lotion", "soap", "perfume", "lipstick", "balm"),
        plural=frozenset({"shampoo", "lotion", "soap", "lipstick"}),
        materials=("aloe", "argan", "coconut", "shea", "avocado", "jojoba", "olive", "papaya"),
        finishes=_gerunds(
            "scented tinted whipped enriched filtered concentrated medicated chilled pressed foamed"
        ),
        features=("cruelty free", "vegan formula", "dermatologist tested", "oil control"),
        options={
            "scent": ("vanilla", "lavender", "citrus", "jasmine", "musk", "cedar"),
            "volume": ("travel", "regular", "jumbo", "refill"),
        },
    ),
    Department(
        name="grocery",
        path="Grocery & Gourmet Food › Pantry Staples",
        nouns=("tea", "cereal", "crackers", "cookies", "sauce", "popcorn", "granola"),
        plural=frozenset({"tea", "cereal", "crackers", "cookies", "sauce", "popcorn", "granola"}),
        materials=("oat", "almond", "quinoa", "rye", "ginger", "cashew", "hemp", "barley"),
        finishes=_gerunds(
            "roasted salted smoked spiced sweetened crushed pickled puffed steamed blended"
        ),
        features=("gluten free", "low sodium", "non gmo", "kosher certified"),
        options={
            "flavor": ("honey", "cherry", "cocoa", "chili", "garlic", "apple"),
            "pack": ("single", "double", "dozen", "family"),
        },
    ),
)
