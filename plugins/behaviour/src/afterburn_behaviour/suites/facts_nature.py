"""Facts of nature and number: elements, sky, units, living things, mathematics."""

from __future__ import annotations

from afterburn_behaviour.suites.facts_table import Fact, Relation, facts_of

_ELEMENTS = """
1 H hydrogen; 2 He helium; 3 Li lithium; 4 Be beryllium; 5 B boron; 6 C carbon; 7 N nitrogen; 8 O oxygen;
9 F fluorine; 10 Ne neon; 11 Na sodium; 12 Mg magnesium; 13 Al aluminium|aluminum; 14 Si silicon; 15 P phosphorus;
16 S sulfur|sulphur; 17 Cl chlorine; 18 Ar argon; 19 K potassium; 20 Ca calcium; 21 Sc scandium; 22 Ti titanium;
23 V vanadium; 24 Cr chromium; 25 Mn manganese; 26 Fe iron; 27 Co cobalt; 28 Ni nickel; 29 Cu copper; 30 Zn zinc;
31 Ga gallium; 32 Ge germanium; 33 As arsenic; 34 Se selenium; 35 Br bromine; 36 Kr krypton; 47 Ag silver;
48 Cd cadmium; 50 Sn tin; 51 Sb antimony; 53 I iodine; 54 Xe xenon; 55 Cs caesium|cesium; 56 Ba barium; 74 W tungsten;
78 Pt platinum; 79 Au gold; 80 Hg mercury; 82 Pb lead; 83 Bi bismuth; 86 Rn radon; 88 Ra radium; 90 Th thorium;
92 U uranium
"""


def _elements() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Atomic number, symbol and names of every element in the table."""
    rows = (row.split() for row in _ELEMENTS.split(";"))
    return tuple((number, symbol, tuple(names.split("|"))) for number, symbol, names in rows)


_PLANETS = ("Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune")
_PLACES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")

_MOONS = facts_of("""
Europa=Jupiter; Ganymede=Jupiter; Io=Jupiter; Callisto=Jupiter; Titan=Saturn; Enceladus=Saturn; Rhea=Saturn;
Iapetus=Saturn; Mimas=Saturn; Phobos=Mars; Deimos=Mars; Triton=Neptune; Nereid=Neptune; Titania=Uranus; Oberon=Uranus;
Miranda=Uranus; Ariel=Uranus; Umbriel=Uranus; Charon=Pluto
""")

_STARS = facts_of("""
Vega=Lyra|Lyre; Sirius=Canis Major|Great Dog|Greater Dog; Aldebaran=Taurus|Bull; Spica=Virgo|Virgin;
Altair=Aquila|Eagle; Antares=Scorpius|Scorpio|Scorpion; Deneb=Cygnus|Swan; Regulus=Leo|Lion;
Arcturus=Boötes|Bootes|Herdsman; Capella=Auriga|Charioteer; Canopus=Carina|Keel; Rigel=Orion; Betelgeuse=Orion;
Procyon=Canis Minor|Little Dog|Lesser Dog; Fomalhaut=Piscis Austrinus|Southern Fish; Pollux=Gemini|Twins;
Castor=Gemini|Twins; Polaris=Ursa Minor|Little Bear|Little Dipper|Lesser Bear
""")

_CONVERSIONS = facts_of("""
grams are there in a kilogram=1000; metres are there in a kilometre=1000; millimetres are there in a metre=1000;
centimetres are there in a metre=100; seconds are there in a minute=60; minutes are there in an hour=60;
seconds are there in an hour=3600; hours are there in a day=24; hours are there in a week=168;
days are there in a week=7; minutes are there in a day of 24 hours=1440; inches are there in a foot=12;
feet are there in a yard=3; yards are there in a mile=1760; feet are there in a mile=5280;
ounces are there in an ordinary pound of weight=16; pounds are there in a stone=14; things are there in a dozen=12;
things are there in a gross=144; years are there in a decade=10; degrees are there in a full circle=360;
degrees are there in a right angle=90; bits are there in a byte today=8; millilitres are there in a litre=1000;
kilograms are there in a tonne=1000; square metres are there in a hectare=10000; years are there in a century=100;
metres are there in an international nautical mile=1852; years are there in a millennium=1000;
cubic centimetres are there in a litre=1000; degrees Fahrenheit does water freeze at under normal pressure=32;
degrees Fahrenheit does water boil at under normal pressure=212;
degrees Celsius does water boil at under normal pressure=100;
degrees Celsius does water freeze at under normal pressure=0
""")

_UNITS = facts_of(
    """
force=newton; energy=joule; power=watt; pressure=pascal; electric resistance=ohm; electric voltage=volt;
electric current=ampere|amp; electric charge=coulomb; frequency=hertz; capacitance=farad; inductance=henry|henries;
magnetic flux density=tesla; thermodynamic temperature=kelvin; luminous intensity=candela; amount of substance=mole;
radioactivity=becquerel; electric conductance=siemens; illuminance=lux; length=metre|meter; time=second;
mass=kilogram|kilo
""",
    plural=True,
)

_COUNTS = facts_of("""
legs does an insect have=6; legs does a spider have=8; chambers does a human heart have=4;
arms does an octopus have=8; chromosomes does a normal human body cell have=46; pairs of ribs do most people have=12;
humps does a dromedary have=1; vertebrae does the neck of a person have=7;
vertebrae does the neck of a giraffe have=7; chambers does the heart of a fish have=2;
permanent teeth does a full human set have, wisdom teeth included=32;
teeth does a full set of human milk teeth have=20;
bones does the skeleton of an adult usually have, as textbooks count=206; wings does a honeybee have=4;
wings does a housefly have=2; compartments does the stomach of a cow have=4; humps does a Bactrian camel have=2;
toes does an ostrich have on each foot=2; chambers does the heart of a frog have=3; lungs do most people have=2
""")

_YOUNG = facts_of(
    """
cow=calf|calves; sheep=lamb; goat=kid; horse=foal; pig=piglet; bear=cub; kangaroo=joey; swan=cygnet; goose=gosling;
hare=leveret; fallow deer=fawn; frog=tadpole|polliwog; duck=duckling; butterfly=caterpillar|larva; owl=owlet
""",
    plural=True,
)

_CLASSES = facts_of(
    """
whale=mammal; bat=mammal; penguin=bird; salamander=amphibian; shark=fish; sea horse=fish; crocodile=reptile;
tortoise=reptile; newt=amphibian; spider=arachnid; scorpion=arachnid; ant=insect; crab=crustacean;
octopus=mollusc|mollusk; snail=mollusc|mollusk; lobster=crustacean; ladybird=insect; platypus=mammal; ostrich=bird;
eel=fish; tick=arachnid; woodlouse=crustacean; squid=mollusc|mollusk; gecko=reptile; toad=amphibian; dolphin=mammal;
moth=insect; owl=bird
""",
    plural=True,
)

_ORGANS = facts_of(
    """
pumps the blood=heart; makes insulin=pancreas|pancreases; makes bile=liver; filters the blood to make urine=kidney;
takes up oxygen from the air=lung; covers the whole body and is its largest=skin; stores urine=bladder;
stores bile=gall bladder|gallbladder; tells light from dark and sees colours=eye; thinks and steers the body=brain
""",
    plural=True,
)

_SHAPES = facts_of("""
sides does a triangle have=3; sides does a pentagon have=5; sides does a hexagon have=6; sides does a heptagon have=7;
sides does an octagon have=8; sides does a nonagon have=9; sides does a decagon have=10;
sides does a dodecagon have=12; faces does a tetrahedron have=4; faces does a cube have=6;
faces does an octahedron have=8; edges does a cube have=12; faces does a regular dodecahedron have=12;
faces does a regular icosahedron have=20; vertices does a cube have=8; vertices does a regular octahedron have=6;
edges does a tetrahedron have=6; degrees do the angles of a flat triangle sum to=180;
degrees do the angles of a plane quadrilateral sum to=360; diagonals does a square have=2;
diagonals does a pentagon have=5
""")

_NUMERALS = facts_of("""
IV=4; IX=9; XIV=14; XIX=19; XXIV=24; XL=40; XLV=45; L=50; LXX=70; XC=90; XCIX=99; C=100; CD=400; D=500; DC=600;
CM=900; M=1000; MCM=1900; MDC=1600; MMXX=2020; LIX=59; CXX=120; CCL=250; DCCC=800
""")

_MORE = ("Fill in the number: how many {subject}?", "A quiz asks: how many {subject}?")

NATURE = (
    Relation(
        name="symbol",
        category="chemistry",
        facts=tuple(
            Fact(
                subject=names[0],
                answer=symbol,
                accept=tuple(
                    text.format(name=name, symbol=symbol)
                    for name in names
                    for text in (
                        "The chemical symbol for {name} is {symbol}",
                        "The chemical symbol of {name} is {symbol}",
                        "The symbol for {name} is {symbol}",
                        "The symbol of {name} is {symbol}",
                        "{name}: {symbol}",
                        "{symbol} ({name})",
                    )
                ),
            )
            for _, symbol, names in _elements()
        ),
        checker="exact",
        questions=(
            "What is the chemical symbol of {subject}?",
            "Which symbol does {subject} have in the periodic table?",
            "How do chemists abbreviate the element {subject}?",
        ),
    ),
    Relation(
        name="element",
        category="chemistry",
        facts=tuple(Fact(subject=symbol, answer=names[0], accept=names[1:]) for _, symbol, names in _elements()),
        questions=(
            "Which chemical element has the symbol {subject}?",
            "Name the element that chemists write as {subject}.",
            "What does {subject} stand for in the periodic table?",
        ),
    ),
    Relation(
        name="atomic_number",
        category="chemistry",
        facts=tuple(Fact(subject=names[0], answer=number) for number, _, names in _elements()),
        checker="number",
        questions=(
            "What is the atomic number of {subject}?",
            "How many protons does an atom of {subject} have?",
            "Give the place of {subject} in the periodic table, counted from hydrogen as 1.",
        ),
    ),
    Relation(
        name="planet",
        category="astronomy",
        facts=tuple(Fact(subject=place, answer=name) for place, name in zip(_PLACES, _PLANETS, strict=True)),
        questions=(
            "Which planet is the {subject} from the Sun?",
            "Name the {subject} planet of the Solar System, counted from the Sun.",
            "Going outwards from the Sun, which planet comes {subject}?",
        ),
    ),
    Relation(
        name="moon",
        category="astronomy",
        facts=_MOONS,
        questions=(
            "Around which planet or dwarf planet does the moon {subject} travel?",
            "The moon {subject} belongs to which planet or dwarf planet?",
            "Name the body that {subject}, a moon, orbits.",
        ),
    ),
    Relation(
        name="star",
        category="astronomy",
        facts=_STARS,
        questions=(
            "In which constellation is the star {subject}?",
            "To which constellation does {subject} belong?",
            "Name the constellation in which one finds the bright star {subject}.",
        ),
    ),
    Relation(
        name="conversion",
        category="units",
        facts=_CONVERSIONS,
        checker="number",
        questions=("How many {subject}?", *_MORE),
    ),
    Relation(
        name="unit",
        category="units",
        facts=_UNITS,
        questions=(
            "What is the SI unit of {subject}?",
            "In which SI unit is {subject} measured?",
            "Name the unit of {subject} in the International System.",
        ),
    ),
    Relation(
        name="count",
        category="biology",
        facts=_COUNTS,
        checker="number",
        questions=("How many {subject}?", *_MORE),
    ),
    Relation(
        name="young",
        category="biology",
        facts=_YOUNG,
        questions=(
            "What is the young of a {subject} called?",
            "Give the English word for a very young {subject}.",
            "Which special word do we have for the offspring of a {subject}?",
        ),
    ),
    Relation(
        name="class",
        category="biology",
        facts=_CLASSES,
        questions=(
            "Mammal, bird, reptile, amphibian, fish, insect, arachnid, crustacean or mollusc: what is the {subject}?",
            "Is the {subject} a mammal, bird, reptile, amphibian, fish, insect, arachnid, crustacean or mollusc?",
        ),
    ),
    Relation(
        name="organ",
        category="biology",
        facts=_ORGANS,
        questions=(
            "Which organ of the human body {subject}?",
            "Name the human organ that {subject}.",
            "In people, which organ is it that {subject}?",
        ),
    ),
    Relation(
        name="shape",
        category="mathematics",
        facts=_SHAPES,
        checker="number",
        questions=("How many {subject}?", *_MORE),
    ),
    Relation(
        name="numeral",
        category="mathematics",
        facts=_NUMERALS,
        checker="number",
        questions=(
            "Which number do the Roman numerals {subject} stand for?",
            "Write the Roman numerals {subject} in today's digits.",
            "An old clock tower bears the Roman numerals {subject}. Which number is that?",
        ),
    ),
)
