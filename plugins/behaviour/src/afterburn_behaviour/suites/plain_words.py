"""Words that every domain of `plain` draws from. Entries may hold templates themselves (`plain_grammar`)."""

from __future__ import annotations


def entries(text: str) -> tuple[str, ...]:
    """The entries of a list that `;` parts."""
    return tuple(entry.strip() for entry in text.replace("\n", " ").split(";") if entry.strip())


WORDS: dict[str, tuple[str, ...]] = {
    name: entries(text)
    for name, text in {
        "woman": """Ada; Agnes; Amara; Beth; Carla; Celia; Dina; Edith; Elena; Farah; Greta; Hanna; Ines; Irma; Jana;
            Joan; Kaya; Leila; Lotte; Mabel; Maya; Nadia; Nora; Olga; Petra; Rosa; Ruth; Sana; Stella; Tess; Vera;
            Wanda; Yara; Zofia""",
        "man": """Adam; Ali; Anton; Bela; Boris; Carl; Daniel; Emil; Erik; Felix; Gabriel; Hugo; Ivan; Jonas; Karim;
            Leo; Luca; Marek; Milo; Nils; Oscar; Paul; Pedro; Rafi; Samir; Stefan; Theo; Tomas; Victor; Walter;
            Yusuf""",
        "surname": """Abbott; Barros; Becker; Calder; Dunne; Ekström; Farrow; Goran; Haddad; Ibsen; Jansen; Kowal;
            Lindqvist; Marsh; Nakata; Okoye; Pereira; Quill; Rossi; Santos; Tanaka; Ueda; Varga; Whitlock; Yilmaz""",
        "town": """Ashcombe; Bellmore; Brackwater; Carrow; Dunmere; Eastholm; Fenwick; Glenross; Hartsea; Ivybridge;
            Kestrel Bay; Larkfield; Marlow; Northgate; Oakhurst; Pinedale; Ravensholt; Saltmarsh; Thornbury;
            Underhill; Wexley; Yarrow""",
        "month": """January; February; March; April; May; June; July; August; September; October; November;
            December""",
        "weekday": "Monday; Tuesday; Wednesday; Thursday; Friday; Saturday; Sunday",
        "season": "spring; summer; autumn; winter",
        "relative": """my aunt; my uncle; my sister; my brother; our neighbour; my cousin; my grandmother;
            an old friend; my father; a colleague; my flatmate; our landlady; my daughter""",
        "trade": """carpenter; plumber; baker; teacher; nurse; gardener; electrician; librarian; mechanic; tailor;
            postman; farmer; painter; cook; bookkeeper; bus driver; optician; surveyor; locksmith""",
        "past": """yesterday; last {weekday}; last week; on {weekday} [morning|evening]; two days ago; last night;
            a month ago; early in {month}; this morning; over the weekend; at the end of {month}; the day before;
            shortly after [lunch|breakfast|sunset]; late in the {season}; a few weeks ago""",
        "soon": """tomorrow; next {weekday}; next week; on {weekday}; in {n:3-9} days; by the end of {month};
            before the weekend; this afternoon; in early {month}; within the hour; after the holidays; in the {season};
            in mid-{month}; on {n:2-28} {month}""",
        "often": """usually; often; sometimes; rarely; almost always; occasionally; regularly; seldom; still;
            now and then""",
        "for_long": """for {n:2-9} [hours|days|weeks]; for almost {n:2-6} [months|years]; for half an hour;
            for most of the [day|week|morning]; all night; for about {n:10-55} minutes; until {clock};
            since {month}; since {n:1990-2019}; from {clock} to {clock}; all {season}; for a whole {season}""",
        "clock": """half past {n:1-11}; {n:6-11} o'clock; a quarter to {n:2-11}; {n:1-11}:{n:10-55}; noon;
            ten past {n:2-11}; shortly before {n:4-9}; midnight""",
        "price": "{n:2-90} euros; {n:3-60} dollars; £{n:2-80}.{n:10-99}; ${n:2-95}.{n:10-99}; {n:4-75} pounds",
        "colour": """blue; green; dark red; yellow; grey; pale green; white; brown; black; orange; cream; silver;
            violet; rust-coloured""",
        "stuff": """wood; brass; glass; wool; steel; clay; linen; stone; leather; paper; copper; oak; plastic; tin;
            canvas""",
        "building": """town hall; library; post office; school; bakery; railway station; old mill; museum; market hall;
            community centre; church; pharmacy; swimming pool; theatre; bus depot; fire station; hospital; cinema""",
        "quite": "rather; quite; fairly; surprisingly; remarkably; unusually; oddly",
        "good": """pleasant; useful; comfortable; reliable; quiet; generous; clear; simple; neat; solid; sensible;
            tidy; practical; handy""",
        "bad": """noisy; awkward; slow; dull; damp; cramped; stiff; uneven; crooked; dusty; stubborn; faded; worn;
            leaky""",
        "many": """a handful of; dozens of; several; a couple of; {n:3-19}; about {n:20-90}; nearly {n:30-70}; very few;
            more than {n:10-80}; at least {n:4-12}""",
        "because": """because; since; mainly because; partly because; simply because; as""",
        "but": "but; though; yet; and still; although; while",
        "so": "so; and so; which is why; and therefore; hence",
    }.items()
}
