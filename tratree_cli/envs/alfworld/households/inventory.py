"""What households consist of: furniture, things, which goes where, and rooms of several kinds.

The kinds are those of ALFWorld, so that a policy trained here has seen the words of the original
games; which thing belongs where, how many of each a room has and what rooms there are is invented.
Some room kinds are never seen in training: they combine furniture seen in training in new ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OPENABLE = frozenset({"Cabinet", "Drawer", "Fridge", "Microwave", "Safe"})
"""Furniture with a door or the like; it begins closed."""

_PLACES = {
    "food": "CounterTop DiningTable Fridge SinkBasin GarbageCan SideTable",
    "drink": "CounterTop DiningTable Fridge Cabinet GarbageCan CoffeeTable",
    "dish": "CounterTop DiningTable Cabinet Shelf SinkBasin Fridge CoffeeTable SideTable Desk",
    "cutlery": "CounterTop DiningTable Drawer SinkBasin SideTable",
    "pan": "StoveBurner CounterTop DiningTable SinkBasin Cabinet Fridge",
    "spice": "CounterTop DiningTable Cabinet Drawer Shelf SideTable",
    "bath": "CounterTop Toilet SinkBasin BathtubBasin Cabinet Drawer GarbageCan Cart Shelf",
    "paper": "Desk Shelf SideTable Bed Sofa DiningTable CoffeeTable Drawer GarbageCan TVStand",
    "gadget": "Desk Shelf SideTable Dresser Drawer Bed Sofa ArmChair CoffeeTable TVStand Safe",
    "soft": "Bed Sofa ArmChair Ottoman",
    "ornament": "Shelf SideTable DiningTable CoffeeTable Dresser Desk TVStand CounterTop Safe",
    "lamp": "Desk SideTable Dresser Shelf",
}
PLACES: Mapping[str, frozenset[str]] = {
    group: frozenset(names.split()) for group, names in _PLACES.items()
}
"""Where the things of a group are found and may be put."""


def likely_places(group: str) -> tuple[str, ...]:
    """Kinds of furniture in the order in which one looks for things of a group."""
    return tuple(_PLACES.get(group, "").split())


@dataclass(frozen=True)
class Thing:
    """A kind of thing: its group, and what can be done with it (``c``lean, ``h``eat, coo``l``,
    ``s``lice; ``f``ixed things cannot be taken and ``t``oggled ones are lamps)."""

    group: str
    can: str = ""


THINGS: Mapping[str, Thing] = {
    "Apple": Thing("food", "chls"),
    "Bread": Thing("food", "hls"),
    "Egg": Thing("food", "chl"),
    "Lettuce": Thing("food", "cls"),
    "Potato": Thing("food", "chls"),
    "Tomato": Thing("food", "chls"),
    "WineBottle": Thing("drink", "l"),
    "Bowl": Thing("dish", "cl"),
    "Cup": Thing("dish", "chl"),
    "Mug": Thing("dish", "chl"),
    "Plate": Thing("dish", "chl"),
    "ButterKnife": Thing("cutlery", "c"),
    "Fork": Thing("cutlery", "c"),
    "Knife": Thing("cutlery", "c"),
    "Ladle": Thing("cutlery", "c"),
    "Spatula": Thing("cutlery", "c"),
    "Spoon": Thing("cutlery", "c"),
    "Kettle": Thing("pan", "c"),
    "Pan": Thing("pan", "cl"),
    "Pot": Thing("pan", "cl"),
    "DishSponge": Thing("spice", "c"),
    "PepperShaker": Thing("spice"),
    "SaltShaker": Thing("spice"),
    "SoapBottle": Thing("bath"),
    "Candle": Thing("bath"),
    "Cloth": Thing("bath", "c"),
    "SoapBar": Thing("bath", "c"),
    "SprayBottle": Thing("bath"),
    "TissueBox": Thing("bath"),
    "ToiletPaper": Thing("bath"),
    "Book": Thing("paper"),
    "Newspaper": Thing("paper"),
    "Pen": Thing("paper"),
    "Pencil": Thing("paper"),
    "AlarmClock": Thing("gadget"),
    "CD": Thing("gadget"),
    "CellPhone": Thing("gadget"),
    "CreditCard": Thing("gadget"),
    "KeyChain": Thing("gadget"),
    "Laptop": Thing("gadget"),
    "RemoteControl": Thing("gadget"),
    "Watch": Thing("gadget"),
    "Pillow": Thing("soft"),
    "Box": Thing("ornament"),
    "Statue": Thing("ornament"),
    "Vase": Thing("ornament"),
    "DeskLamp": Thing("lamp", "ft"),
}


@dataclass(frozen=True)
class Room:
    """A kind of room: furniture with its least and greatest number, and what lies about.

    ``number`` is the first of its floor plans (the original numbers kitchens from 1, living rooms
    from 201, bedrooms from 301 and bathrooms from 401).
    """

    number: int
    furniture: Mapping[str, tuple[int, int]]
    things: tuple[str, ...]


def _room(number: int, furniture: str, things: str) -> Room:
    counts = {}
    for word in furniture.split():
        kind, _, span = word.partition(":")
        low, _, high = (span or "1").partition("-")
        counts[kind] = (int(low), int(high or low))
    return Room(number, counts, tuple(things.split()))


_KITCHEN = """Apple Bread Egg Lettuce Potato Tomato Bowl Cup Mug Plate ButterKnife Fork Knife Ladle
    Spatula Spoon Kettle Pan Pot DishSponge PepperShaker SaltShaker SoapBottle WineBottle"""
_BEDROOM = """AlarmClock Book CD CellPhone CreditCard KeyChain Laptop Pen Pencil Pillow Mug Bowl
    DeskLamp Box"""
_LIVING = """Book Newspaper CreditCard KeyChain Laptop Pillow RemoteControl Watch Box Statue Vase
    TissueBox Plate DeskLamp"""
_BATH = "Candle Cloth SoapBar SoapBottle SprayBottle TissueBox ToiletPaper"

ROOMS: Mapping[str, Room] = {
    "kitchen": _room(
        1,
        """Cabinet:6-12 Drawer:4-9 CounterTop:1-3 StoveBurner:3-4 SinkBasin Fridge Microwave
        GarbageCan DiningTable:0-1 Shelf:0-3 CoffeeMachine:0-1 Toaster:0-1""",
        _KITCHEN,
    ),
    "living room": _room(
        201,
        """Sofa:1-2 ArmChair:0-2 CoffeeTable:1-2 SideTable:1-2 TVStand:0-1 Shelf:3-8 Drawer:2-8
        DiningTable:0-1 GarbageCan Cabinet:0-4 Ottoman:0-1""",
        _LIVING,
    ),
    "bedroom": _room(
        301,
        """Bed Desk:1-2 Drawer:4-10 Shelf:3-8 SideTable:1-2 Dresser:0-1 GarbageCan LaundryHamper:0-1
        Safe:0-1 ArmChair:0-1""",
        _BEDROOM,
    ),
    "bathroom": _room(
        401,
        """SinkBasin:1-2 Toilet BathtubBasin:0-1 CounterTop Cabinet:3-8 Drawer:1-5 Shelf:0-3
        GarbageCan SideTable:0-1 Cart:0-1 ToiletPaperHanger HandTowelHolder:0-2""",
        _BATH,
    ),
    "office kitchenette": _room(
        101,
        """Desk:2-3 Drawer:4-9 Shelf:2-5 Cabinet:2-5 CounterTop SinkBasin Fridge Microwave
        GarbageCan CoffeeMachine:0-1 Safe:0-1""",
        """Mug Cup Plate Apple Bread Spoon Book Laptop Pen Pencil CellPhone CD Watch DeskLamp
        KeyChain""",
    ),
    "studio flat": _room(
        151,
        """Bed Sofa:0-1 DiningTable CounterTop SinkBasin Fridge Microwave StoveBurner:1-2
        Cabinet:3-8 Drawer:3-8 SideTable Shelf:2-5 Desk:0-1 GarbageCan""",
        """Apple Egg Potato Tomato Bread Bowl Cup Mug Plate Fork Knife Spoon Pan Pot Book Pillow
        CellPhone KeyChain RemoteControl Vase DeskLamp SoapBottle""",
    ),
    "guest suite": _room(
        451,
        """Bed SideTable:1-2 Dresser Drawer:3-8 SinkBasin Toilet BathtubBasin:0-1 CounterTop
        Cabinet:2-6 Shelf:2-5 GarbageCan ArmChair:0-1 Safe:0-1""",
        """Book Pillow AlarmClock CellPhone Watch CreditCard Cloth SoapBar SoapBottle SprayBottle
        TissueBox ToiletPaper Candle Mug DeskLamp""",
    ),
    "staff canteen": _room(
        171,
        """DiningTable:2-3 CounterTop:2-3 Fridge:1-2 Microwave SinkBasin GarbageCan:1-2 Cabinet:3-8
        Drawer:2-5 Shelf:2-5 CoffeeMachine SideTable:0-2 Desk:0-1""",
        """Apple Bread Egg Lettuce Tomato Potato Bowl Cup Mug Plate Fork Spoon ButterKnife Knife
        SaltShaker PepperShaker WineBottle Newspaper Book DeskLamp""",
    ),
}  # fmt: skip

SEEN = ("kitchen", "living room", "bedroom", "bathroom", "office kitchenette")
UNSEEN = ("studio flat", "guest suite", "staff canteen")
"""Room kinds of the training, dev and seen-test splits, and those held out for the test split."""
