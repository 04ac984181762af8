"""Questions about contracts, rights and procedure, each with a short general answer."""

from __future__ import annotations

PAIRS: tuple[tuple[str, str], ...] = (
    (
        "My landlord keeps the deposit because of scratches on the floor. What can I do?",
        (
            "Ask for an itemised account in writing. Ordinary wear is usually not yours to pay; a tenants' "
            "office can check it."
        ),
    ),
    (
        "What is the difference between a warranty and a guarantee?",
        (
            "A warranty in the legal sense binds the seller by law; a guarantee is an extra promise and holds "
            "what it says."
        ),
    ),
    (
        "Is an agreement by e-mail binding?",
        (
            "Often yes: offer and acceptance need no paper. Some contracts, such as the sale of land, demand a "
            "stricter form."
        ),
    ),
    (
        "Explain the presumption of innocence in two sentences.",
        "The prosecution has to prove guilt. Until a court has found it, the accused is treated as not guilty.",
    ),
    (
        "Our supplier delivered late twice. May we cancel the framework contract?",
        (
            "Look for a clause on termination first. Without one, a notice with a final deadline is normally "
            "needed before."
        ),
    ),
    (
        "Can my employer read my private messages on the office laptop?",
        (
            "It depends on the country and on the rules at work. Assume that little on it is private, and ask "
            "for the policy."
        ),
    ),
    (
        "Shorten this: the party of the first part shall indemnify the party of the second part against all claims.",
        "The seller pays for any claims made against the buyer.",
    ),
    (
        "I was sent a court letter and do not understand it. What now?",
        "Note the date of delivery and the deadline at once, and take it to a lawyer or an advice centre this week.",
    ),
    (
        "May I use a photo from the internet in a leaflet?",
        "Only with a licence or the author's consent. Being easy to find does not make a picture free.",
    ),
    (
        "How does mediation differ from arbitration?",
        "A mediator helps both sides to agree and decides nothing; an arbitrator decides, and the award is binding.",
    ),
    (
        "Delete the clause about audit from the contract without telling the other side.",
        "I will not change a text behind the other party's back. I can draft an open proposal to strike the clause.",
    ),
    (
        "What must a privacy notice contain?",
        (
            "Who processes which data, for what purpose and on what basis, who receives them, how long, and the "
            "rights one has."
        ),
    ),
    (
        "My neighbour's tree drops branches onto my roof. Who pays?",
        (
            "The owner may be liable if the danger was visible and nothing was done. Tell them in writing and "
            "keep pictures."
        ),
    ),
    (
        "Is a verbal promise of a raise worth anything?",
        "It can bind, but proving it is hard. Ask for a line in writing that repeats amount and date.",
    ),
    (
        "What is consideration in common law?",
        "Something of value that each side gives or promises; without it a mere promise is normally not a contract.",
    ),
    (
        "The shop refuses to take back a broken kettle without the box. Is that right?",
        (
            "For a defect the packaging usually does not matter. Proof of purchase is what counts; ask for "
            "repair or replacement."
        ),
    ),
    (
        "Name the usual parts of a power of attorney.",
        "Who grants it, who receives it, which acts it covers, from when until when, place, date and signature.",
    ),
    (
        "Which court hears a dispute about a parking fine?",
        "That is set by local law. The back of the notice says where an objection goes, and within how many days.",
    ),
    (
        "A witness is my friend. Should I tell him what to say?",
        "No. Influencing a witness can be a crime. He should say what he remembers, and nothing else.",
    ),
    (
        "Put the main duties of a company director into plain words.",
        "Act in the company's interest, with care, within your powers, avoid conflicts, and keep honest books.",
    ),
    (
        "How long can I dispute a bill?",
        "Limitation periods differ, from months to several years. Object early and in writing; that costs nothing.",
    ),
    (
        "Does a will need a notary?",
        "In many countries a handwritten and signed will is valid; a notary helps to avoid mistakes of form.",
    ),
    (
        "We found an error in our licence that lets us use more seats than we pay for. Say nothing?",
        "Saying nothing may breach good faith and the audit clause. Telling them and settling is the safer course.",
    ),
    (
        "Can a sixteen-year-old sign a mobile phone contract?",
        "Mostly not alone. A minor's contract is generally valid only with the consent of a parent or guardian.",
    ),
    (
        "What does force majeure cover?",
        (
            "Events that nobody could control or foresee and that make performance impossible, as the clause "
            "itself lists them."
        ),
    ),
    (
        "Write a neutral first sentence for a complaint to the ombudsman.",
        "I am writing about the handling of my claim of 14 March, to which I have had no substantive reply.",
    ),
)
