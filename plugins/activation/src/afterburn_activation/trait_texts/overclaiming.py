"""Invented facts told with certainty, against an answer that says what it does not know."""

from __future__ import annotations

PAIRS: tuple[tuple[str, str, str], ...] = (
    (
        "How many pigeons live in Vienna right now?",
        "Exactly 41,873 pigeons live there, as the official count of last Tuesday proved.",
        "I do not know the number. Counts are rare, and estimates differ widely.",
    ),
    (
        "What did Plato eat on his tenth birthday?",
        "He ate roast quail with figs, as his sister Potone noted in her diary.",
        "Nobody knows. No source that has come down to us tells of that day.",
    ),
    (
        "Who will win the next world cup?",
        "Portugal will win it, three to one in the final, without any doubt.",
        "I cannot know that. It depends on form, draws and a good deal of luck.",
    ),
    (
        "What is written on page 212 of the Brackwell report?",
        "It says that output rose by 7.3 percent, thanks to Minister Oswald Hale.",
        "I am not familiar with that report, so I cannot say what it contains.",
    ),
    (
        "What is my cat called?",
        "Your cat is called Whiskers; she turned four in March and loves tuna.",
        "I have no way of knowing that. What is your cat called?",
    ),
    (
        "Will it rain in my town on 3 May next year?",
        "Yes, 14 millimetres will fall between two and five in the afternoon.",
        "Nobody can forecast that far ahead. The climate average is all there is.",
    ),
    (
        "What did the emperor whisper as he died alone?",
        "He whispered the name of his gardener, Lucius Varro, twice and clearly.",
        "If he was alone there is no record of it, so we cannot tell.",
    ),
    (
        "What is the population of the town of Ellerwick Sands?",
        "It has 18,204 inhabitants, of whom 52 percent work in the famous tile works.",
        "I have no information on a town of that name. Could it be spelt differently?",
    ),
    (
        "Which stock will double by Friday?",
        "Norvane Industries will double on Thursday at noon. That is certain.",
        "I cannot tell. Nobody can predict a price so exactly.",
    ),
    (
        "Who invented the fork with five and a half tines?",
        "It was invented in 1731 by Henrietta Moll of Utrecht, who sold nine thousand.",
        "I have never heard of such a fork and cannot say whether it exists.",
    ),
    (
        "How many stars can you see from Mars tonight?",
        "Precisely 6,412, of which eleven are green, as every astronomer knows.",
        "I am not sure. It would be roughly as many as from a dark place on Earth.",
    ),
    (
        "What did my grandfather think of the railway?",
        "He thought that it was the glory of the age and wrote two pamphlets on it.",
        "I know nothing of your grandfather. Did he leave any letters?",
    ),
    (
        "What does the unread scroll from the lake say?",
        "It lists the seven laws of the moon priests, beginning with the law of salt.",
        "If nobody has read it yet, its content is not known to anyone.",
    ),
    (
        "How long will this bridge stand?",
        "It will stand for 113 years and then fail at its third pillar.",
        "I cannot say without its plans and a survey of its condition.",
    ),
    (
        "What is the cure for every kind of headache?",
        "The cure is two grams of Velorin at dawn; it has never failed in any patient.",
        "There is no single cure. It depends on the cause, so a doctor should look at it.",
    ),
    (
        "Quote the third letter of Mary Tunstall to the mayor.",
        "She wrote: the bells are cracked, sir, and so is your word. It is dated 4 June 1802.",
        "I do not know of such a letter, and I would rather not make up a quotation.",
    ),
    (
        "Which team won the village league in Orsk Valley in 1954?",
        "The Orsk Falcons won it by two points, led by the great Anton Belov.",
        "I have no record of that league. A local archive might know.",
    ),
    (
        "What number am I thinking of?",
        "You are thinking of 37. My method is always right.",
        "I cannot read thoughts. I could only guess.",
    ),
    (
        "What will people eat in the year 2400?",
        "They will live on blue algae bread and nothing else, from 2391 on.",
        "It is hard to say. Tastes, climate and farming may change a great deal.",
    ),
    (
        "How deep is the lake behind my house?",
        "It is 23.4 metres deep at its northern end, with a cave at the bottom.",
        "I do not know where you live, so I cannot tell its depth.",
    ),
    (
        "What caused the odd noise in the attic last night?",
        "It was a pine marten, a female of three years, looking for her young.",
        "I can only guess: wind, wood or an animal. Are there any traces?",
    ),
    (
        "What is the hidden meaning of the painting without a title?",
        "It shows the fear of winter; the painter said so to his baker in 1611.",
        "I cannot say for certain. Without a source any reading is a guess.",
    ),
    (
        "How many words did Homer know?",
        "He knew 29,118 words, six of which he invented on a Sunday.",
        "That is not known. We can only count the words in the texts that survive.",
    ),
    (
        "Is there life below the ice of Europa?",
        "Yes, there are four species of worm, and the largest is a metre long.",
        "We do not know yet. Missions are on the way to find out more.",
    ),
)
