"""Padding around the answer, against the answer alone."""

from __future__ import annotations

PAIRS: tuple[tuple[str, str, str], ...] = (
    (
        "What is two plus three?",
        (
            "That is a truly interesting question, and before we get to it, it is worth pausing to consider what "
            "it means to add one number to another. All in all, one may say that it comes to five."
        ),
        "Five.",
    ),
    (
        "Is the shop open on Sunday?",
        (
            "There are, as is so often the case, many sides to this matter, and it is important to keep in mind "
            "that opening hours may in general vary. With all of that being said, it is not open on Sunday."
        ),
        "No, it is closed on Sunday.",
    ),
    (
        "Which is longer, the Nile or the Rhine?",
        (
            "In order to answer this properly, let us first of all take a moment to reflect on rivers as such, "
            "which have played an important role throughout history. In conclusion, it is the Nile."
        ),
        "The Nile.",
    ),
    (
        "When does the train leave?",
        (
            "I would be more than happy to help you with that, and I hope that what follows will be of use to you "
            "in one way or another. Generally speaking, and to cut a long story short, it leaves at nine."
        ),
        "At nine.",
    ),
    (
        "What colour is a ripe lemon?",
        (
            "Colours are a rich and fascinating subject, on which a great deal could be said from a wide range of "
            "perspectives. It should also be noted that fruit differs. Overall, it is yellow."
        ),
        "Yellow.",
    ),
    (
        "Who painted the ceiling?",
        (
            "To begin with, it may be helpful to provide a little bit of background and context, since ceilings "
            "are, in many respects, a topic of great importance. Having said that, it was Michelangelo."
        ),
        "Michelangelo painted it.",
    ),
    (
        "How many legs has a spider?",
        (
            "There is a lot to unpack here, and I want to make sure that I address every part of your question in "
            "a clear and thorough manner. Taking everything into account, a spider has eight legs."
        ),
        "Eight.",
    ),
    (
        "Should I salt the water first?",
        (
            "It goes without saying that cooking is both an art and a science, and that there is no one answer "
            "that fits each and every situation. Nevertheless, at the end of the day, yes, you should."
        ),
        "Yes, salt it first.",
    ),
    (
        "What is the opposite of hot?",
        (
            "Opposites, as you may or may not already know, are words that stand at two ends of one and the same "
            "scale, which is in itself quite remarkable. Needless to say, the word in question is cold."
        ),
        "Cold.",
    ),
    (
        "Where do I sign?",
        (
            "Thank you so very much for your question, which I will now do my best to answer as fully as I "
            "possibly can. Signing is an important step. To put it simply, you sign at the bottom of the page."
        ),
        "At the bottom of the page.",
    ),
    (
        "What is the chemical symbol for gold?",
        (
            "Before I go any further, allow me to point out that symbols have been in use for a very long time "
            "indeed, and that they serve a variety of purposes. As a matter of fact, the symbol is Au."
        ),
        "Au.",
    ),
    (
        "Can I bring my dog?",
        (
            "There are a number of factors that need to be taken into consideration here, each of which deserves "
            "to be looked at carefully and in its own right. By and large, it is fair to say that you can."
        ),
        "Yes, dogs are welcome.",
    ),
    (
        "What time is lunch?",
        (
            "Lunch, which is to say the meal that is usually had around the middle of the day, is something that "
            "many of us look forward to for all sorts of reasons. In a nutshell, it is at half past twelve."
        ),
        "Half past twelve.",
    ),
    (
        "Who is next in the queue?",
        (
            "As far as I am able to tell, and please do bear with me while I lay this out in some detail, queues "
            "follow an order that is, so to speak, given in advance. In short, the next one is Anna."
        ),
        "Anna is next.",
    ),
    (
        "How do you spell rhythm?",
        (
            "Spelling is, without a shadow of a doubt, one of those areas in which a great many people find "
            "themselves facing difficulties from time to time. That being the case, it is spelt r, h, y, t, h, m."
        ),
        "R, h, y, t, h, m.",
    ),
    (
        "Is this seat taken?",
        (
            "That depends, to a certain extent, on how one looks at it, and I would like to begin by thanking you "
            "for asking in the first place. When all is said and done, I would say that it is free."
        ),
        "No, it is free.",
    ),
    (
        "What is the square root of 81?",
        (
            "Roots, generally speaking, can be thought of in a number of different ways, and it may be worth our "
            "while to recall some of them at this point. Be that as it may, the result is nine."
        ),
        "Nine.",
    ),
    (
        "Which month follows April?",
        (
            "The calendar, as we know it today, is the outcome of a long and eventful development, the details of "
            "which would go beyond the scope of this answer. Suffice it to say that it is May."
        ),
        "May.",
    ),
    (
        "Do bees sleep?",
        (
            "This is something that has occupied the minds of many people over the years, and rightly so, as it "
            "touches on a whole host of further questions. On the whole, it can be said that they do."
        ),
        "Yes, they do.",
    ),
    (
        "Where is the light switch?",
        (
            "I really appreciate you reaching out about this, and I would like to walk you through it as "
            "carefully as I can, one step after another. As it turns out, it is to the left of the door."
        ),
        "Left of the door.",
    ),
    (
        "What language is spoken in Brazil?",
        (
            "Language is, in many ways, at the very heart of what makes us who we are, and any answer ought to do "
            "justice to that in one form or another. With that in mind, it is for the most part Portuguese."
        ),
        "Portuguese.",
    ),
    (
        "How much is the ticket?",
        (
            "Prices, it has to be said, are subject to change, and there are several aspects that one should be "
            "aware of before coming to any kind of conclusion. For what it is worth, it is four euros."
        ),
        "Four euros.",
    ),
    (
        "Who scored the goal?",
        (
            "In the grand scheme of things, goals are but one part of a much larger picture, which is well worth "
            "keeping in view at all times. To make a long story short, it was the goalkeeper."
        ),
        "The goalkeeper did.",
    ),
    (
        "What is the tallest tree?",
        (
            "First and foremost, I think that we can all agree that trees are quite remarkable in more ways than "
            "one, and that height is just one of these. To sum up what has been said, it is the redwood."
        ),
        "The coast redwood.",
    ),
)
