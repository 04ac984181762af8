"""What the suite `writing` asks for: templates by category, each with lists whose every combination reads well."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Theme:
    """A template; `{a}` and `{b}` are filled from its lists."""

    text: str
    a: tuple[str, ...]
    b: tuple[str, ...] = ("",)


def _theme(text: str, a: str, b: str = "") -> Theme:
    """Fillings are parted by `;`."""
    return Theme(text=text, a=tuple(x.strip() for x in a.split(";")), b=tuple(x.strip() for x in b.split(";")))


_HEROES = (
    "a retired sailor; a shy librarian; a young baker; a night watchman; a village doctor; a clockmaker; "
    "a bus driver; a beekeeper; a travelling photographer; a piano tuner"
)
_EVENTS = (
    "finds a letter that was never posted; misses the last train home; has to look after a stranger's dog for a day; "
    "gets lost in the fog; wins a prize for something somebody else did; "
    "repairs an old radio and hears a familiar voice; "
    "discovers a locked door at work; has to keep a secret for one evening"
)
_PLACES = (
    "a harbour at dawn; a railway station at night; a kitchen on a feast day; a forest after rain; an empty theatre; "
    "a city square in summer; a mountain pass in winter; an old bookshop; a market hall; a garden gone wild"
)
_TOPICS = (
    "why the sky is blue; how bees make honey; what a shadow is; why we have seasons; how a boat stays afloat; "
    "where rain comes from; why leaves change colour; how magnets pull; what echoes are; why we need sleep; "
    "how a seed knows which way is up; why the Moon changes its shape"
)

THEMES: dict[str, tuple[Theme, ...]] = {
    "stories": (
        _theme("Write a short story in which {a} {b}.", _HEROES, _EVENTS),
        _theme(
            "Write the opening of a novel about {a} who {b}. Stop after the first scene.",
            _HEROES,
            "moves to an island; inherits a house; has stopped speaking; is looking for a lost brother; cannot sleep",
        ),
        _theme(
            "Tell a bedtime story about {a} and {b}.",
            "a curious fox; a small cloud; a tired star; a brave snail; an old owl; a lost mitten; a forgetful bear",
            "a lighthouse; a very long winter; the quietest village in the world; a borrowed umbrella; a hidden pond",
        ),
        _theme(
            "Write a story of about 300 words that begins with {a} and ends with {b}.",
            "a knock at the door; an empty chair; the smell of coffee; a torn map; a broken bicycle",
            "a handshake; a song; the first snow; a door left open; laughter",
        ),
    ),
    "letters": (
        _theme(
            "Write a letter to {a} to {b}.",
            "an old friend; a former teacher; a neighbour; a cousin abroad; a colleague who has retired",
            "say thank you for their help; apologise for a long silence; invite them to a summer party; "
            "tell them about a new home; congratulate them on their birthday",
        ),
        _theme(
            "Write a polite e-mail to {a} because {b}.",
            "a landlord; a hotel; a language school; a local museum; a furniture shop",
            "a bill seems to be wrong; an appointment has to be moved; nobody has answered an earlier message; "
            "you left your umbrella there",
        ),
        _theme(
            "Write a postcard from {a} to {b}.",
            "a rainy seaside town; a crowded capital; a mountain village; a desert camp; a slow river boat",
            "your grandparents; your best friend; your colleagues at work; your six-year-old niece",
        ),
    ),
    "descriptions": (
        _theme("Describe {a} so that the reader can almost {b} it.", _PLACES, "hear; smell; feel"),
        _theme(
            "Describe {a} from the point of view of {b}.",
            _PLACES,
            "somebody who is in a hurry; a child on a grown-up's shoulders; a cat; somebody who comes back after years",
        ),
        _theme(
            "Describe the face and the hands of {a} whom you have just met.",
            "an old fisherman; a nervous bridegroom; a chess player; a market woman; a violin maker; a mountain guide; "
            "a young mother; a retired boxer; a gardener; a street musician; a judge; a swimmer",
        ),
    ),
    "opinions": (
        _theme(
            "Which is the better {a}: {b}? Say what you think and why.",
            "holiday for a family; subject for a first painting; setting for a short film",
            "the mountains or the sea; a city or a village; a forest or a lake; an island or a river valley",
        ),
        _theme(
            "Should {a}? Give your opinion and your reasons.",
            "every child learn to play an instrument; schools start later in the morning; people write more by hand; "
            "libraries be open on Sundays; every town have a free swimming pool; shops play music; "
            "museums let visitors touch things; cities ban cars from their centres; homework be given at weekends; "
            "restaurants print shorter menus; offices allow dogs; cooking be taught in every school",
        ),
        _theme(
            "Some people love {a} and some do not. What do you think, {b}?",
            "camping; karaoke; board games; long train journeys; surprise parties; early mornings; "
            "black coffee; jigsaw puzzles",
            "and what would you say to somebody of the other opinion; and why; all things considered",
        ),
    ),
    "explanations": (
        _theme(
            "Explain to {b} {a}.",
            _TOPICS,
            "a child of six; a curious ten-year-old; my grandmother who never had science at school; "
            "a class of teenagers",
        ),
        _theme(
            "Find a comparison from everyday life that explains {a}.",
            "how a computer stores a picture; how vaccines teach the body; how interest on savings grows; "
            "how radio works; "
            "how a search engine finds pages; how the heart pumps blood; what inflation is; how an election works; "
            "what a black hole is; how a refrigerator cools; what genes do; how a loan works",
        ),
        _theme(
            "Explain what makes {a} difficult for beginners, and how one gets over it.",
            "playing the violin; chess; sourdough bread; drawing hands; public speaking; learning a new alphabet; "
            "skiing; writing dialogue; juggling; gardening; programming; singing in a choir",
        ),
    ),
    "products": (
        _theme(
            "Write a product description for {a}, meant for {b}.",
            "a folding bicycle; a hand-made teapot; a waterproof notebook; a solar lamp; a wooden puzzle; "
            "a woollen blanket",
            "an online shop; a printed catalogue; a small shop window",
        ),
        _theme(
            "Write an advertisement for {a} that would make {b} smile.",
            "a dance school; a repair café; a vegetable box by subscription; a choir; a second-hand bookshop; "
            "a bicycle courier",
            "students; busy parents; retired people; newcomers to the town",
        ),
        _theme(
            "Think of a name and a slogan for {a}, and explain your choice.",
            "a new tea house; a travelling cinema; an ice cream van; a walking club; a museum of keys; "
            "a soap workshop; "
            "a night bakery; a puppet theatre; a kite shop; a seed library; a barber; a rowing club",
        ),
    ),
    "poems": (
        _theme(
            "Write a poem about {a} {b}.",
            "the first frost; an old bridge; a kitchen table; a summer storm; the last bus; "
            "a grandmother's hands; a paper boat",
            "in four rhyming stanzas; without rhymes; in the form of a sonnet; that a child could learn by heart",
        ),
        _theme(
            "Write three haiku about {a}.",
            "autumn; the sea; a city at night; tea; a garden; birds; waiting; snow; a train journey; silence; "
            "bread; the moon",
        ),
        _theme(
            "Write a {b} poem in which {a} speaks.",
            "the wind; an umbrella; a mirror; the month of March; a lighthouse; a pair of worn shoes; a river",
            "short and cheerful; quiet and serious; comic",
        ),
    ),
    "dialogues": (
        _theme(
            "Write a dialogue between {a} about {b}.",
            "a taxi driver and a passenger; two neighbours on a staircase; a mother and her grown-up son; "
            "a cook and a waiter; two strangers in a lift",
            "the weather and what lies behind it; a lost key; a noise in the night; the best soup in town; "
            "a move abroad",
        ),
        _theme(
            "Write a conversation in which {a} argue about {b} and end up laughing.",
            "two old friends; a brother and a sister; two gardeners; a couple on a road trip; two musicians",
            "the right way; a broken vase; who forgot the tickets; how loud is too loud",
        ),
        _theme(
            "Write an interview with {a} for a local newspaper.",
            "the oldest baker in town; a lock keeper; a woman who tunes church bells; the winner of a pumpkin contest; "
            "a teacher on her last day; a ferry captain; a man who collects maps; a young inventor; a puppet maker; "
            "a lifeguard; a bookbinder; the coach of a losing team",
        ),
    ),
    "advice": (
        _theme(
            "I would like to {a}. What do you advise {b}?",
            "sleep better; learn a language on my own; spend less time on my phone; start running; read more books; "
            "make friends in a new town",
            "for the first month; if I have only half an hour a day; if I tend to give up easily",
        ),
        _theme(
            "How can I {a} without {b}?",
            "turn down an invitation; tell a friend that I disagree; ask for a rise; end a long telephone call; "
            "give feedback on a bad speech",
            "sounding rude; hurting anybody; a long explanation",
        ),
        _theme(
            "Give me advice on choosing {a} for {b}.",
            "a present; a book; a board game; a day trip; a film",
            "my father-in-law; a teenager; a colleague I hardly know; a friend who has everything",
        ),
    ),
    "speeches": (
        _theme(
            "Write a short speech for {a}, given by {b}.",
            "a wedding; a farewell party at work; the opening of a playground; a school reunion; a seventieth birthday",
            "a good friend; the youngest guest; somebody who is afraid of speaking in public",
        ),
        _theme(
            "Write a diary entry of {a} on the evening after {b}.",
            "a stage actor; a young teacher; an astronaut; a lighthouse keeper; an apprentice cook",
            "the first day; a great success; a small mistake; a quiet day on which nothing happened",
        ),
        _theme(
            "Write a review of {a} that you have made up, {b}.",
            "a film; a restaurant; a museum; a concert; a novel",
            "full of praise; fair but critical; in the voice of somebody who expected something else",
        ),
    ),
}
