"""Questions about money, as private customers and small firms ask them, each with a short sober answer."""

from __future__ import annotations

PAIRS: tuple[tuple[str, str], ...] = (
    (
        "I have 4,000 saved and a credit card balance at 21 percent. Should I invest the money?",
        (
            "Paying the card off earns a certain 21 percent. Keep a small reserve, clear the balance, and invest "
            "after that."
        ),
    ),
    (
        "What does it mean that a bond trades below par?",
        "Its price is lower than the amount repaid at maturity, usually because market rates rose above its coupon.",
    ),
    (
        "Explain to my grandmother why inflation eats her savings account.",
        (
            "If prices rise by three percent and the account pays one, the same money buys about two percent "
            "less each year."
        ),
    ),
    (
        "Our bakery turned over 310,000 last year and costs were 289,000. What is the margin?",
        "The profit is 21,000, so the margin before tax is a little under seven percent of turnover.",
    ),
    (
        "A man on the phone promises eight percent a month, guaranteed. Is that realistic?",
        (
            "No. Guaranteed returns of that size do not exist; it has the marks of a fraud. Send nothing and "
            "report the call."
        ),
    ),
    (
        "Fixed or variable rate for a mortgage over fifteen years?",
        (
            "A fixed rate buys certainty, a variable one is a bet on falling rates. Choose by how much of a rise "
            "you could carry."
        ),
    ),
    (
        "Write one sentence for the annual report about the fall in our operating cash flow.",
        (
            "Operating cash flow fell by 12 percent, mainly because customers paid later and stocks were built "
            "up before the move."
        ),
    ),
    (
        "How is the yield of a share with a dividend of 1.20 and a price of 30 worked out?",
        "Divide the dividend by the price: 1.20 over 30 is 0.04, a dividend yield of four percent.",
    ),
    (
        "My broker says diversification is for people who know nothing. What do you say?",
        (
            "Spreading money lowers the risk that one mistake costs everything, and that protects experts as "
            "well as beginners."
        ),
    ),
    (
        "Should a freelancer put aside money for tax, and how much?",
        (
            "Yes, on every payment. A quarter to a third in a separate account covers most cases; an adviser can "
            "refine it."
        ),
    ),
    (
        "The auditor asks why three invoices carry the same number. What are innocent explanations?",
        (
            "A reprint, a corrected copy without a new number, or a faulty import. Check dates, amounts and the "
            "ledger entries."
        ),
    ),
    (
        "Summarise what an index fund is for a school class.",
        "It buys a small piece of every company on a list, so its value follows the whole list and its costs stay low.",
    ),
    (
        "Can I borrow against my house to buy cryptocurrency?",
        (
            "A bank may allow it, but you would risk your home on a price that has halved within weeks before. I "
            "would not."
        ),
    ),
    (
        "Which ratio tells whether a firm can pay its bills next month?",
        (
            "Liquidity ratios do, such as cash and receivables over short-term liabilities; below one is a "
            "reason to look closer."
        ),
    ),
    (
        "We pay suppliers after 20 days and are paid after 55. Is that a problem?",
        (
            "You finance 35 days of sales yourselves. Agree on longer terms, invoice sooner, or plan a credit "
            "line for the gap."
        ),
    ),
    (
        "What is a put option good for?",
        (
            "It lets its owner sell at a fixed price until a date, which limits the loss on a share at the cost "
            "of a premium."
        ),
    ),
    (
        "Tell me a stock that will double this year.",
        "Nobody knows one. I can explain how to judge a company or how a broad fund fits your plans instead.",
    ),
    (
        "Our treasurer wants to move the reserve into one single corporate bond. Objections?",
        (
            "One issuer, one default and the reserve is gone. A reserve needs safety and quick access before it "
            "needs yield."
        ),
    ),
    (
        "How do exchange rates change the profit of an exporter?",
        (
            "When the home currency rises, foreign revenue is worth less at home while local costs stay, so "
            "profit shrinks."
        ),
    ),
    (
        "Is it better to lease or to buy a delivery van?",
        (
            "Compare all payments, tax, repairs and the resale value over the years you will use it; long use "
            "favours buying."
        ),
    ),
    (
        "Draft a polite reminder for an invoice that is two weeks late.",
        (
            "May we remind you of our invoice of 3 May, which was due two weeks ago? Please let us know if "
            "anything is unclear."
        ),
    ),
    (
        "What happens to my pension savings if the provider goes bankrupt?",
        (
            "In most countries they are held apart from the provider's own assets; the regulator's site says "
            "what is protected."
        ),
    ),
    (
        "Why did the central bank raise rates although growth is weak?",
        (
            "Its first duty is stable prices. Higher rates dampen demand and expectations, even when that costs "
            "some growth."
        ),
    ),
    (
        "Someone in accounting shares a password with two colleagues. Does it matter?",
        (
            "Yes. Nobody can tell afterwards who booked what, and controls between people fail. Give each person "
            "an account."
        ),
    ),
    (
        "Is a monthly savings plan of 50 worth the effort?",
        "Yes. Over twenty years the deposits alone are 12,000, and the habit matters more than the first amount.",
    ),
    (
        "List three costs that first-time home buyers forget.",
        (
            "Purchase tax and notary, the reserve for repairs, and the months in which rent and loan are paid "
            "side by side."
        ),
    ),
)
