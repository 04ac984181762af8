"""A small set for retrieval: short documents on everyday things, and queries in other words.

Documents describe things (what it is, where it is kept, what it is for, what to mind) drawn from written tables. Every
thing has several documents that differ in one aspect, so that a query has near misses as well as strangers. A query
asks for one aspect of one thing: the document on that aspect has grade 2, the thing's other documents grade 1.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from afterburn_core.probes.model import Probe

SUITE = "activation.retrieval"
_THINGS = """
cast-iron pan|heavy cooking vessel of iron|frying and searing
  dried at once and rubbed with a little oil|it rusts when it is left wet|skillet
sourdough starter|jar of flour and water alive with yeast|raising loaves without bought yeast
  fed with fresh flour every few days|it dies when it is forgotten in the heat|leaven culture
bicycle chain|loop of steel links between pedals and wheel|passing the rider's strength to the wheel
  wiped clean and oiled every two hundred kilometres|it stretches and wears the cogs down|drive links of bikes
houseplant fern|leafy plant of damp shade|softening a bathroom or a north window
  misted often and kept out of the sun|its tips brown in dry air|shade-loving fronds
wool jumper|knitted garment of sheep's hair|keeping warm on cold days
  washed cold by hand and dried flat|moths eat holes into it|knit sweater
fountain pen|pen with a nib and a store of ink|writing letters by hand
  flushed with water when the ink is changed|it leaks in an aeroplane|nib writing instrument
garden compost heap|pile of kitchen and garden waste|turning scraps into dark soil
  turned with a fork and kept as moist as a wrung sponge|it stinks when it gets no air|rotting scrap pile
rain barrel|tub under the downpipe of a roof|gathering water for beds and pots
  emptied before the first hard frost|gnats breed in it without a lid|rainwater butt
paper map|folded sheet with roads and heights|finding the way without a signal
  folded along its old creases and kept dry|it tears first where the folds cross|hiking chart
acoustic guitar|wooden instrument with six strings|playing songs by a fire
  kept at even moisture, away from the heater|its neck warps in dry rooms|strummed instrument
kitchen knife|long blade for cutting food|chopping roots and herbs
  whetted on a wet stone and never put into the dishwasher|a blunt one slips and cuts fingers|chef's blade
tent|shelter of cloth and poles|sleeping outdoors in wind and rain
  aired until it is dry before it is packed|it moulds when it is rolled up wet|camping shelter
beehive|box of frames that bees live in|keeping bees for honey and orchards
  looked through on warm, still days|a swarm leaves it when it grows too full|bee box
wood stove|box of iron that burns logs|heating a room without wires
  swept out and its flue brushed each autumn|damp logs coat the flue with tar|log burner
field glass|small telescope for both eyes|watching birds far away
  wiped with a soft cloth and never with a sleeve|a knock puts the two sides out of line|binocular
kettle|pot with a spout for boiling water|making tea and coffee
  freed from scale with vinegar|hard water furs up its inside|water boiler
mattress|thick pad that one sleeps on|resting the back at night
  turned round every few months|it sags where one always lies|bed pad
hand saw|toothed blade with a handle|cutting boards to length
  oiled thinly and hung up with its teeth covered|it binds in wet wood|timber-cutting tool
aquarium|tank of glass for fish|keeping small fish in a living room
  given a part of new water each week|fish fall ill when it is scrubbed all at once|fish tank
umbrella|folding roof on a stick|staying dry in the rain
  opened to dry before it is put away|gusts turn it inside out|rain shield
candle|stick of wax with a wick|giving light when the power fails
  its wick cut short before it is lit|it drips in a draught|wax light
leather boot|high shoe made of hide|walking through mud and stones
  brushed and waxed when it is dry|it cracks when it dries by a fire|hiking footwear
smoke alarm|small device on the ceiling that shrieks|waking sleepers when something burns
  tested with its button each month|its battery dies unnoticed|fire detector
sewing machine|device that stitches cloth with two threads|mending and making clothes
  brushed free of lint and given a drop of oil|a bent needle breaks the thread|stitching device
ladder|pair of rails joined by rungs|reaching gutters and high shelves
  looked over for cracks before each climb|it slides away on wet leaves|climbing frame with rungs
thermos flask|bottle with two walls and nothing between|keeping soup hot until noon
  rinsed and left open to dry|its stopper keeps the smell of coffee|vacuum bottle
bird feeder|small house with seeds|helping birds through winter
  scrubbed with hot water so that no sickness spreads|cats wait below it when it hangs low|seed dispenser
rowing boat|small open boat moved with oars|crossing a lake in the quiet of morning
  turned over on trestles for the winter|its planks leak after a dry spring|dinghy with oars
chess set|board and thirty-two carved men|playing a long game of thought
  its pieces kept in a lined box|a lost pawn spoils it|board game of kings and pawns
pressure cooker|pot with a lid that locks|cooking beans in a quarter of the time
  its rubber ring greased and its valve kept clear|it must not be opened while it hisses|sealed steam pot
solar panel|dark plate that turns sunlight into current|running a house by day
  rinsed of dust and leaves twice a year|shade on one corner dims the whole row|photovoltaic plate
violin bow|stick of wood strung with horsehair|drawing tones from a violin
  slackened after playing and given resin|its hair goes slick from fingers|string player's stick
"""
_ASPECTS = (
    ("what", "{Article} {name} is a {what}."),
    ("use", "People use {article} {name} for {use}. It has served for that for a long time."),
    ("care", "How to look after {article} {name}: {care}."),
    ("risk", "What to mind about {article} {name}: {risk}."),
    ("buy", "When choosing {article} {name}, ask first whether it suits {use}; then think of its care: {care}."),
    ("store", "A short note on keeping {article} {name} for years: {care}; remember that {risk}."),
    (
        "story",
        "My neighbour lent me {article} {name} last spring. I used it for {use}, and gave it back in good order.",
    ),
)
_QUERIES = {
    "what": ("meaning of {other}", "{other} explained"),
    "use": ("reasons to own {other}", "{other} good for what"),
    "care": ("keeping {other} in good shape", "looking after {other}"),
    "risk": ("{other} trouble", "what goes wrong with {other}"),
}


def items(seed: int, n: int | None) -> Iterable[Probe]:
    """Documents and queries, thing by thing.

    Args:
        seed: which wording a query takes.
        n: about so many probes: things are left out whole, so that no query lacks its documents.
    """
    found: list[Probe] = []
    for number, line in enumerate(_THINGS.strip().replace("\n  ", "|").splitlines()):
        found += _of_thing(number, line, random.Random(f"{SUITE}/{seed}/{number}"))
    return found if n is None or n >= len(found) else _whole(found, n)


def _of_thing(number: int, line: str, rng: random.Random) -> list[Probe]:
    name, what, use, care, risk, other = line.split("|")
    article = "an" if name[0] in "aeiou" else "a"
    told = {"name": name, "what": what, "use": use, "care": care, "risk": risk}
    told |= {"article": article, "Article": article.capitalize()}
    ids = {aspect: f"retrieval-{number:02d}-{aspect}" for aspect, _ in _ASPECTS}
    probes = [
        Probe(
            id=ids[aspect],
            prompt=form.format(**told),
            suite=SUITE,
            category="document",
            properties={"kind": "document"},
        )
        for aspect, form in _ASPECTS
    ]
    for aspect in ("what", "use", "care", "risk"):
        relevant = {ids[one]: (2.0 if one == aspect else 1.0) for one in ids}
        wording = rng.choice(_QUERIES[aspect]).format(other=other)
        probes.append(
            Probe(
                id=f"retrieval-{number:02d}-q-{aspect}",
                prompt=wording,
                suite=SUITE,
                category="query",
                properties={"kind": "query", "relevant": relevant},
            )
        )
    return probes


def _whole(found: list[Probe], n: int) -> list[Probe]:
    """The first things whole, so that no query lacks its documents."""
    per = len(_ASPECTS) + 4
    return found[: max(1, n // per) * per]
