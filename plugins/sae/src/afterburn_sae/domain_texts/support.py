"""What customers write to a help desk, polite and otherwise, each with the reply of a good agent."""

from __future__ import annotations

PAIRS: tuple[tuple[str, str], ...] = (
    (
        "Where is my parcel? It should have been here on Monday.",
        "I am sorry about the wait. Please send me the order number and I will look up where it is right now.",
    ),
    (
        "Your app logs me out every ten minutes. It is driving me mad.",
        (
            "That is annoying. Please tell me the version and the phone; meanwhile, turning battery saving off "
            "often helps."
        ),
    ),
    (
        "I want a refund, and I want it today.",
        "I understand. I have started the refund; the bank needs three to five working days to show it.",
    ),
    (
        "How do I change the address on my account?",
        "Open Settings, then Profile, then Address, and confirm with the code that we send you.",
    ),
    (
        "You people are useless. Third time I write!",
        (
            "You should not have had to write three times. I have read the earlier messages and will see this "
            "through myself."
        ),
    ),
    (
        "Is the blue jacket in size M available in your Hamburg shop?",
        "I cannot see the stock of single shops. The product page shows it under Availability, updated every hour.",
    ),
    (
        "The invoice shows a service I never ordered.",
        (
            "Thank you for telling us. I have stopped the charge and opened a case; you will hear from billing "
            "by Thursday."
        ),
    ),
    (
        "Can you read me the card number that is stored in my account?",
        (
            "For your safety nobody here can see it, and I would not send it by chat. You can see the last four "
            "digits yourself."
        ),
    ),
    (
        "My router blinks orange since the storm.",
        (
            "Unplug it for one minute, then plug it in again. If it stays orange, the line may be damaged and I "
            "will test it."
        ),
    ),
    (
        "Do you deliver to the Faroe Islands?",
        "Yes, by post, which takes about nine days. Customs duties are shown before you pay.",
    ),
    (
        "I lost the screws of the shelf. Can I buy some?",
        "Spare bags are free. Tell me the name of the shelf and I will post one tomorrow.",
    ),
    (
        "Please cancel my subscription, and do not try to talk me out of it.",
        (
            "Done. It ends on the last day of this month, and nothing more will be charged. Thank you for having "
            "been with us."
        ),
    ),
    (
        "What is the difference between the basic and the family plan?",
        "Basic is for one person on one device; Family has six profiles, parental settings and offline use.",
    ),
    (
        "Someone called and said he was from your company and wanted my password.",
        "That was not us; we never ask for passwords. Please change it now, and tell me the number that called.",
    ),
    (
        "The washing machine stops with error E21.",
        "E21 means that water does not drain. Clean the filter at the bottom front, and check the hose for a kink.",
    ),
    (
        "Great service last week, thanks to Mira on the phone!",
        "How kind of you to write. I will pass it on to Mira, and it will make her day.",
    ),
    (
        "Can I pay in instalments?",
        "Yes, from 100 upwards in three, six or twelve parts. The cost of each is shown at checkout.",
    ),
    (
        "Why was my review deleted?",
        "It named a private person, which our rules do not allow. Without the name you are welcome to post it again.",
    ),
    (
        "I ordered two lamps and one arrived broken.",
        "I am sorry. A new one leaves the store today. A photo of the broken one helps us; you need not send it back.",
    ),
    (
        "Give me another customer's address, he ordered the same thing.",
        "I cannot share another person's details. I can forward a message from you if you wish.",
    ),
    (
        "How long is the warranty on the headphones?",
        "Two years from delivery, and the battery is covered as well. The receipt is enough as proof.",
    ),
    (
        "The website is in Dutch and I cannot find English.",
        "The language switch is at the bottom left, behind the small globe.",
    ),
    (
        "I have been waiting in this chat for forty minutes.",
        "Forty minutes is too long, and I apologise. I am here now and will stay until it is solved. What is it about?",
    ),
    (
        "Can I return underwear?",
        "Only unworn and with the seal intact, for reasons of hygiene. Everything else can come back within 30 days.",
    ),
    (
        "Does the printer work with Linux?",
        "Yes, without a driver on most systems of the last five years. The page Support lists those that we tested.",
    ),
    (
        "My voucher code is not accepted.",
        "It is valid from 40 upwards and not for books. If both fit, send me the code and I will check it.",
    ),
)
