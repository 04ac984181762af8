"""Which of a few languages a text is in, by its function words. Rules: a text of fewer than two of them is in none.

Words that two of the languages share (`en`, `de`, `la`) count for both, so that they decide nothing between them.
"""

from __future__ import annotations

import re

_WORDS = {
    "de": """der die das den dem des ein eine einen einem einer und ist sind war nicht ich du er sie es wir ihr mit auf
        für von zu zum zur im in am an auch aber oder wie was wenn dass nach bei aus sich als wird kann man sehr""",
    "en": """the a an and is are was were not i you he she it we they with on for of to in at by from also but or how
        what when that this these as will can be been have has had do does if so very there their your its""",
    "es": """el la los las un una y es son era no yo tú él ella nosotros con en para de del al por también pero o como
        qué cuando que este esta se su sus más muy hay lo le les si ser está están fue""",
    "fr": """le la les l un une des et est sont était ne pas je tu il elle nous vous ils avec sur pour de du au aux par
        aussi mais ou comme que qui quand ce cette ces se son sa ses plus très dans d on y être c n s""",
    "it": """il lo la i gli le un una uno e è sono era non io tu lui lei noi con su per di del della dei delle al alla
        da dal anche ma o come che quando questo questa si suo sua più molto nel nella ci l d un""",
    "nl": """de het een en is zijn was niet ik jij hij zij wij met op voor van te in aan bij uit ook maar of hoe wat als
        dat dit deze naar door over wordt kan men zeer nog je we er om die heeft""",
    "pt": """o a os as um uma e é são era não eu tu ele ela nós com em no na nos nas para de do da dos das por também
        mas ou como que quando este esta se seu sua mais muito há ao à pelo pela foi está""",
}
LANGUAGES: dict[str, frozenset[str]] = {code: frozenset(words.split()) for code, words in _WORDS.items()}
"""Function words by ISO 639-1 code."""


def language_of(text: str) -> str | None:
    """The language with the most function words in the text; `None` where there are fewer than two, or a tie."""
    words = re.findall(r"[^\W\d_]+", text.casefold())
    counts = {code: sum(word in known for word in words) for code, known in LANGUAGES.items()}
    best = max(counts.values())
    leading = [code for code, count in counts.items() if count == best]
    return leading[0] if best >= 2 and len(leading) == 1 else None
