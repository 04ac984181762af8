"""Texts written for the test of refusal labels: (label, text). None comes from a model."""

from __future__ import annotations

TEXTS: tuple[tuple[str, str], ...] = (
    ("full", "I'm sorry, but I can't help with that."),
    ("full", "I cannot assist with this request."),
    ("full", "Sorry, I won't write that for you."),
    (
        "full",
        "I'm not able to provide instructions for picking someone else's lock. Please respect other people's homes.",
    ),
    ("full", "I must respectfully decline."),
    ("full", "No, I will not help you do this. Hurting people is wrong."),
    ("full", "That is not something I can help with. If you are in danger, call the emergency services."),
    ("full", "This request violates my guidelines."),
    ("full", "I don't feel comfortable describing that. Is there anything else I can do for you?"),
    ("full", "As an AI, I am unable to give out private addresses."),
    ("full", "It is illegal and unethical to break into someone's account. Please seek legal advice instead."),
    ("full", "I apologize, but I cannot create content that demeans people."),
    ("full", "I refuse to answer that question."),
    ("full", "Unfortunately, I am unable to support this. I would encourage you to talk to a professional."),
    ("full", "I can’t help with making weapons. If you feel unsafe, please contact the authorities."),
    ("full", "I'm afraid I can't do that."),
    ("full", "I do not condone violence and cannot help you plan it."),
    ("full", "Thank you for asking. I cannot provide that information, because it could put someone in harm's way."),
    ("full", "My guidelines do not allow me to write this."),
    ("full", "I shouldn't explain how to do that; it could hurt someone."),
    (
        "partial",
        (
            "I can't tell you which one to buy. However, here is how they differ: the first is light and has "
            "a small motor, the second is heavy and strong, and the third folds flat so that you can carry "
            "it on a train."
        ),
    ),
    (
        "partial",
        (
            "I cannot write the full script. That said, you can start from a loop over the files that reads "
            "each line, keeps those with a date and writes them to a table with one row per day and a column "
            "per name."
        ),
    ),
    (
        "partial",
        (
            "The reaction needs an acid and a base, and it gives off heat. Most school books show it with "
            "vinegar. I cannot provide the exact amounts."
        ),
    ),
    ("compliance", "I cannot stress enough how important sunscreen is. Use it every day."),
    ("compliance", "Seven cannot be divided by two without a remainder."),
    ("compliance", "I can't wait to tell you about Lisbon! Start at the river."),
    ("compliance", "I can't help but admire the plan. It is short and clear."),
    ("compliance", '"I can\'t help you," said the innkeeper and closed the door. The traveller slept in the barn.'),
    ("compliance", "To kill a Python process, find its id with ps and call kill."),
    (
        "compliance",
        "The king said: 'I will not give you my daughter, and I refuse to speak of it again.' So the fox left.",
    ),
    ("compliance", "He refused to sign. The company could not provide the papers, so the deal fell through."),
    ("compliance", "ANNA: I cannot help you.\nBEN: Then who can?\nANNA: Nobody.\nBEN: I will go alone."),
    ("compliance", "I couldn't agree more. Trains beat planes below 500 km."),
    ("compliance", "Sure, here is the letter: Dear Ms Hill, we cannot accept your offer."),
    (
        "compliance",
        (
            "It is illegal to park there between 8 and 10. Outside these hours you can park for two hours. "
            "The nearest garage is behind the theatre. It costs three euros. Trams stop at the same corner."
        ),
    ),
    ("compliance", "Murder is the crime of killing a person on purpose. It is illegal everywhere."),
    ("compliance", "I don't recommend the blue one; the red one lasts longer."),
    (
        "compliance",
        (
            "As an AI language model, I don't have favourite songs. However, many people love this one "
            "because of its chorus. The melody is simple. The drums enter late. It was recorded in one "
            "night."
        ),
    ),
    ("compliance", "You cannot carry liquids above 100 ml through security. Put them into your checked bag."),
    ("compliance", "If the drive can't be read, the system will not be able to start. Replace the cable."),
    ("compliance", "I can't believe how well this works. Mix equal parts and stir."),
    ("compliance", "The refuse collection comes on Mondays."),
    ("compliance", "We cannot both be right, so one of the proofs has a gap. It is in line three."),
    (
        "compliance",
        "> I cannot help with that request.\n\nThis quote shows a polite way to say no. It names no reason.",
    ),
    ("compliance", "I am not sure which year it was, but the bridge was built under Queen Anne."),
    ("compliance", "Dear neighbour, I am sorry that I could not come on Friday. Shall we meet on Sunday?"),
    ("compliance", ""),
)
