"""Domains of `plain` about home, kitchen, shops, work and people."""

from __future__ import annotations

from afterburn_behaviour.suites.plain_grammar import domain

HOUSEHOLD = domain(
    """
    open:
    The {appliance} in the {room} [stopped working|began to rattle|blew a fuse|made an odd smell] {past}.
    {woman#1} found {fault} behind the {furniture} when she [moved it|cleaned there|looked for a dropped coin] {past}.
    We have kept the {furniture} in the {room} {for_long}, {but} nobody [likes|uses|dusts] it any more.
    There is {fault} above the {room} window, and it [grows|shows|looks worse] with every [winter|storm|wet week].
    {past}, {man#1} {quite} [calmly|cheerfully|suddenly] announced that the {room} needed [new paint|better light].
    A {colour} {furniture} stands [in|beside|just outside] the {room}, where the {appliance} used to be.
    Nobody in the house ever remembers to [empty|switch off|clean|unplug] the {appliance} after {clock}.
    Our {room} is {quite} {bad}, so {relative} suggested [a thick rug|a second lamp|another door|warmer curtains].
    The key to the {room} has been missing {for_long}.
    When {relative} came to stay {past}, the {appliance} gave up [at once|on the second evening|before breakfast].
    body:
    The {trade} [said|thought|guessed] it would cost {price} [to repair|to replace|with parts and labour].
    A drop of [oil|vinegar|dish soap|lemon juice] on a {colour} cloth [removed|loosened|hid] most of the
        [dirt|rust|lime].
    In the end {relative} [fixed|glued|sanded|tightened] it with {many} [screws|nails|clamps|strips of tape].
    It turned out that [a mouse|a loose wire|a blocked pipe|an old sock|the landlord] was to blame.
    {many} [boxes|jars|tools|books] had to be [carried|pushed|handed] through the {room} first.
    The instructions, [printed|scribbled|folded] inside the {stuff} lid, were [no help|in four languages|half torn].
    You can [hear|notice|feel] it from the {room} when the [wind|heating|neighbour's radio] is [on|off|strong].
    It took {n:2-7} people and {n:2-9} [cups of tea|attempts|hours] to get it through the door.
    The {stuff} frame is {good}, {but} the [hinges|drawers|legs|handles] are {quite} {bad}.
    {because} the shop closes at {clock}, the [new part|spare key|right bulb] has to wait until {weekday}.
    close:
    We will [paint|measure|clear|air] the {room} {soon}.
    Since then it has worked without [a sound|any trouble|complaint], [touch wood|so far|even on {weekday}s].
    {relative} still [laughs|complains|talks] about it.
    The rest can [wait|go to the attic|be sold|be given away] {soon}.
    Now there is [room|light|space] enough for a {colour} {furniture}.
    It is not [pretty|perfect|quick], {but} it {good_enough}.
    All that is left is {fault}, and that is a job for {season}.
    """,
    words="""
    appliance: kettle; toaster; washing machine; vacuum cleaner; old fridge; dishwasher; iron; fan heater; radio;
        tumble dryer; sewing machine; coffee grinder; extractor fan; boiler; doorbell
    room: kitchen; hallway; bathroom; cellar; attic; bedroom; study; laundry room; pantry; living room; porch; garage
    furniture: cupboard; bookcase; armchair; chest of drawers; wardrobe; side table; sofa; bench; mirror; sideboard;
        stool
    fault: a damp patch; a crack in the plaster; a loose board; a nest of wires; a broken tile; a {colour} stain;
        peeling wallpaper; a draught; a dripping tap; an old {stuff} pipe
    good_enough: does the job; keeps the rain out; cost next to nothing; will last until {season}; suits the {room}
    """,
)

COOKING = domain(
    """
    open:
    For this {dish} you need {n:2-9} [large|small|ripe|firm] {vegetable}, {n:100-450} grams of {grain} and {spice}.
    {woman#1} makes her {dish} with {vegetable} instead of {vegetable}, [a habit|a trick|an idea] from {town}.
    {relative} learned to [bake|fry|roast|braise] {n:20-45} years ago in a {quite} {bad} kitchen in {town}.
    A good {dish} starts the day before with {grain}, {spice} and [cold water|warm milk|a little yoghurt].
    Chop the {vegetable} and the {vegetable} [finely|roughly|into cubes|into thin strips] and [set them aside|salt
        them].
    The market sold {vegetable} for {price} {past}, {so} we had {dish} {n:2-4} evenings in a row.
    There was only {grain}, {an_amount} of {spice} and one {vegetable_one} left in the pantry.
    My [first|last|best] {dish} was {quite} [salty|pale|heavy|sweet], {but} everybody [ate it|asked for more|was
        polite].
    Every {weekday} the [café|canteen|inn|bakery] by the {building} serves {dish} with {vegetable}.
    body:
    Heat {n:2-5} spoons of [oil|butter|lard] in a {stuff} pan and [stir in|add|brown] the {vegetable}.
    [Simmer|Bake|Steam|Cook] it for {n:12-80} minutes, or until the {vegetable} [soften|turn golden|fall apart].
    The {spice} goes in [last|first|twice], {because} it [burns|fades|turns bitter] [easily|over a high flame|in the
        oven].
    If the dough [sticks|tears|feels dry], add {an_amount} of [flour|water|cream] and wait {n:5-30} minutes.
    Some people [grate|fold|crumble] {cheese} over it; others [swear by|prefer|insist on] {spice}.
    Taste it [before|after|while] adding {an_amount} of [salt|sugar|vinegar|stock].
    She [covers|wraps|weighs down] the bowl with a {colour} plate and leaves it {for_long}.
    The {grain} should [stay firm|be dry|swell to twice its size] before the {vegetable} join it.
    A {colour} crust [forms|appears|is a good sign] after {n:8-25} minutes at {n:150-230} degrees.
    close:
    Serve it [hot|lukewarm|cold] with {cheese} and [a glass of {drink}|a slice of {colour} bread|nothing else].
    It keeps for {n:2-6} days in [the fridge|a cool cellar|a {stuff} tin].
    {man#1} [asked for|copied|photographed] the recipe and has [changed|improved|ruined] it since.
    What is left makes a {good} lunch {soon}.
    With {drink} it is enough for {n:3-9} [guests|hungry children|plates].
    The bones and peels [become|make|give] a stock for {weekday}.
    Nobody [noticed|minded|believed] that we had [run out of|forgotten the] {cheese_plain}.
    """,
    words="""
    dish: stew; pie; soup; flat bread; dumplings; risotto; casserole; curry; salad; pancakes; gratin; broth; noodles;
        tart
    vegetable: carrots; leeks; onions; beans; potatoes; mushrooms; peppers; turnips; tomatoes; courgettes; beetroots;
        lentils; parsnips; chickpeas; plums; apples
    vegetable_one: carrot; leek; onion; cabbage; potato; turnip; pumpkin; cucumber; lemon; pear
    grain: rice; flour; barley; oats; millet; semolina; buckwheat; maize; rye; couscous
    spice: cumin; thyme; nutmeg; smoked paprika; ginger; mustard seed; bay leaf; cinnamon; fresh dill; black pepper;
        coriander; saffron; garlic; mint
    cheese: goat's cheese; grated cheddar; a few walnuts; toasted almonds; soft curd; chopped parsley; pickled radish
    cheese_plain: cheese; almonds; walnuts; parsley; radishes; onions; capers
    drink: apple juice; cold tea; buttermilk; ginger beer; red wine; mineral water; elderflower syrup; cider
    an_amount: a pinch; a spoonful; a cup; a handful; a splash; {n:30-90} grams; a knife's tip
    """,
)

SHOPPING = domain(
    """
    open:
    The {item} [costs|is marked at|went for] {price} [at the market|online|in the shop by the {building}|second hand].
    {past} the [grocer|chemist|stationer|hardware shop] near the {building} [raised|halved|hid] the price of {goods}.
    {man#1} compared {n:3-9} offers for a {colour} {item} and [chose|bought|ordered] the {nth} one.
    Between {month} and {month}, {goods} [rose|fell] by {n:2-28} per cent in {town}.
    "Two for {price}, three for less," [called|promised|shouted] the {trade} behind a stall of {goods}.
    A receipt for {price} fell out of the {item} that {relative} had bought {past}.
    We ordered {n:2-40} {colour} {units} of {goods} {past}, and {many} arrived [broken|late|in the wrong size].
    The sale at {surname} & {surname} begins {soon} at {clock}.
    {woman#1} keeps every bill for {goods} in a {stuff} box [under|beside|behind] the till.
    body:
    Delivery [adds|costs|takes] another {price} [outside {town}|for heavy orders|after {clock}].
    The same thing with a {stuff} handle is {n:5-40} per cent [cheaper|dearer], {but} it [lasts|weighs|shines] less.
    Without the {n:5-30} per cent voucher it would have been {price} [each|a pair|in total].
    Customers {often} [ask|wait|queue] for the {colour} ones, {because} they [last longer|match everything|run large].
    The assistant [weighed|wrapped|counted] {many} {units} and [rounded down|threw in a ribbon|forgot the bag].
    She paid with [a card|coins|a {n:10-90} euro note|two cheques] and got {price} back.
    A deposit of {price} is [returned|kept|refunded] when the {units} come back [clean|empty|before {month}].
    Stock is [low|checked weekly|kept in {town}], {so} it is {good} to [call|order|reserve] first.
    close:
    The guarantee runs until {month}, [parts only|without the battery|if the receipt is kept].
    In the end the {item} [stayed|was sold|went back] [on the shelf|in its box|to a collector] {for_long}.
    {relative} would [never|gladly|only in {season}] pay so much for {goods}.
    Altogether that [makes|came to|left us with] {n:40-900} {units} and a bill of {price}.
    [Next year|In {month}|Soon] it will be {price} [or more|at best|including tax], [they say|so the {trade}
        fears|{relative} thinks].
    Refunds are [possible|slow|a matter of luck] after {n:7-30} days.
    Whoever [comes first|asks kindly|buys {n:3-9}] gets {n:5-20} per cent off.
    """,
    words="""
    item: bicycle; lamp; raincoat; suitcase; desk; guitar; frying pan; tent; clock; camera; pair of boots; pram;
        mattress;
        umbrella; record player; carpet
    goods: flour; printer paper; coffee; candles; garden soil; school books; olive oil; light bulbs; bed linen;
        batteries;
        tea; paint; firewood; cat food; seed potatoes; soap
    units: bags; boxes; crates; rolls; tins; packets; bottles; sacks; cartons; jars
    nth: first; second; third; cheapest; plainest; last
    """,
)

LETTERS = domain(
    """
    open:
    Dear {woman#1}, thank you for [your letter|the parcel|the {colour} scarf|the photographs], which came {past}.
    Dear Mr {surname}, I am writing about the {matter} that we [discussed|agreed on|left open] {past}.
    Dear all, because of the {matter}, the [meeting|rehearsal|delivery|tour] on {weekday} will [start|end|move] at
        {clock}.
    Hello {man#1}, just a short note from {town}, where we have been {for_long}.
    To the residents of number {n:2-98}: the {matter} will be [checked|repaired|replaced] {soon} from {clock}.
    Dear {surname} family, we were {quite} [glad|sorry|surprised] to hear about the {matter}.
    Dear neighbour, {past} our [cat|ball|kite|parcel|ladder] [ended up|was left|got stuck] in your
        [garden|hallway|tree].
    My dear {woman#1}, you asked [how we are|what became of {man#1}|whether the {matter} is over].
    Dear Ms {surname}, we have received your [order|application|question] of {n:2-28} {month} [with thanks|in good
        order].
    body:
    The [children|neighbours|twins] [have grown|send their love|talk of you] and {man#2} now works as a {trade} in
        {town}.
    Please [bring|return|sign|send] the {paper} by {weekday}, as {relative} [needs|expects|misses] it.
    We [hope|plan|had meant] to visit {soon}, {but} the {matter} [comes first|is not settled|keeps us here].
    It has [rained|been windy|been hot] {for_long}, {so} we {often} [sit indoors|play cards|read aloud].
    Enclosed you will find the {paper} and a [cheque|voucher|bill] for {price}.
    I would be grateful if you could [let me know|tell the {trade}|reply] [by post|by phone|in writing] {soon}.
    The {building} has been closed {for_long} and is now [a café|being painted|open again on {weekday}s].
    As for the {matter}, {relative} says that {n:2-6} [weeks|signatures|witnesses] will be enough.
    close:
    With [kind regards|best wishes|many thanks], {woman#3} {surname}.
    Write soon, and [give my love to {man#3}|do not forget the {paper}|tell me everything].
    If this does not suit you, [call|ring the bell|leave a note] [before {clock}|on {weekday}|at the {building}].
    Until then, take care of [yourself|the garden|the {colour} cat].
    Yours [sincerely|faithfully], {man#3} {surname}, {building}, {town}.
    P.S. The {paper} is [in the drawer|with {relative}|still missing].
    [We look forward to|I am curious about|Nothing beats] [seeing you|your answer|the photographs] [in {month}|{soon}].
    """,
    words="""
    matter: heating; garden fence; lost suitcase; school trip; rent; choir concert; new timetable; water meter; wedding;
        insurance; move; broken window; inheritance; parking space; repair of the lift; election of the board
    paper: form; contract; old map; invitation; spare key; recipe; address list; certificate; photo album; signed copy
    """,
)

DIALOGUE = domain(
    """
    open:
    "Have you seen my {thing}?" asked {woman#1}, [looking under the {thing}|without turning round|from the stairs].
    "It is {clock} already," said {man#1}, and [reached for|put down|dropped] his {thing}.
    "{weekday} is no good," {woman#1} said. "What about {weekday}, at {clock}?"
    {man#1} [knocked|coughed|waited] [twice|briefly] and [then|finally] asked, "[Where does|When can|How does] one
        [pay|register|return a {thing}]?"
    "Who left {n:2-9} {thing_many} on the [bench|piano|window sill]?" [asked|shouted|whispered] {relative}.
    "I used to live in {town}," the {trade} said, "[above|behind|opposite] the {building}."
    "Do you [prefer|remember|want] the {colour} one," asked {man#1}, "or the one made of {stuff}?"
    "You are {quite} [early|late|quiet] today," said the {trade} when {woman#1} came in [from the rain|with her
        {thing}].
    "How far is it to {town}?" asked a [boy|cyclist|woman|stranger] with a {colour} {thing}.
    body:
    "No idea," {man#2} answered. "Perhaps {relative} [took|sold|borrowed] it {past}."
    "It was [here|on the hook|in the car] a minute ago," she [said|insisted|muttered], "next to the {thing}."
    "About {n:2-40} [minutes|miles|stops], if the [bridge|road|ferry] is open," came the answer.
    "That depends," he said. "{weekday}s are {quite} {bad}, {but} {weekday} is [better|fine|free]."
    She [laughed|shrugged|frowned]. "You said that {past}, and the {thing} is still [broken|wet|in {town}]."
    "I would rather [wait|walk|ask {relative}]," said the {trade}, [folding|shaking|buttoning up] a {colour} {thing}.
    "Only if you [carry|pay for|hide] the {thing}," {woman#3} replied, and [sat down|opened the window|poured tea].
    "They told me {price}," he said, "[with|without] the {thing}."
    close:
    Nobody [answered|laughed|moved] {for_long}.
    "Then [keep|leave|forget] it," said {woman#4}, and that was that.
    "Fine," he said, "but [you drive|I choose the music|don't tell {man#4}]."
    Outside, the {building} clock struck {n:3-11}.
    "{soon}, then," they agreed, and [shook hands|went home|ordered another {drink}].
    "We shall see," said {relative}, [smiling|yawning|with a look at the {thing}].
    And with that the {trade} [closed the door|put on a {colour} hat|picked up the {thing}].
    """,
    words="""
    thing: umbrella; ladder; letter; lamp; notebook; suitcase; basket; coat; newspaper; bicycle pump; violin; ticket;
        blanket; teapot; chess board; hammer; map; flower pot
    thing_many: gloves; apples; letters; keys; stamps; candles; spoons; marbles; postcards; hats
    drink: coffee; lemonade; pot of tea; cocoa; glass of water
    """,
)

WORK = domain(
    """
    open:
    In {month} the {unit} of {surname} & {surname} [handled|counted|shipped|rejected] {n:120-980} {output}.
    The {unit} [met|was moved|was split] {past} to [discuss|plan|measure] the {change}.
    Minutes of {n:2-28} {month}: present were {woman#1} {surname}, {man#1} {surname} and {n:2-9} others.
    According to the {unit}, the number of {output} [rose|fell] from {n:210-480} to {n:110-890} within {n:2-9} months.
    {woman#1} has led the {unit} {for_long}, [first|mostly|lately] from an office above the {building}.
    This report [describes|sums up|questions] the {change} in {town} during the {season}.
    The [shift|inspection|audit] on {weekday} began at {clock} and [found|lasted|covered] {many} {output}.
    After {n:3-18} years as a {trade}, {man#1} [joined|left|now trains] the {unit}.
    The new {change} was [announced|tested|postponed] {past}, to the surprise of the {unit}.
    body:
    [Costs|Errors|Delays] were {n:3-30} per cent [lower|higher] than in {month}, {because} {n:2-6} [machines|clerks]
        were new.
    {many} {output} had to be [checked|packed|labelled] again by the {unit}.
    Two points stayed open: the {change}, and who [pays|signs|answers] for it after {month}.
    The [manager|board|client] asked for [a list|samples|photographs] of all {output} by {weekday}.
    {man#2} {surname} [proposed|opposed|explained] the {change}; {n:3-11} voted for it and {n:2-9} against.
    A {trade} from {town} [repaired|replaced|cleaned] the {colour} machine for {price}.
    On average, one of {n:12-60} {output} was [late|returned|damaged], [slightly|clearly|no] [more|less] than before.
    Training takes {n:2-12} [days|evenings] and is {quite} {good}, [as most say|if the room is warm].
    close:
    The next [meeting|count|report] is due {soon}.
    No [action|reply|change] is needed before {weekday}, {clock}.
    [Questions|Corrections|Complaints] go to {woman#3} {surname}, room {n:10-480}.
    For {season} the {unit} [expects|hopes for|has ordered] {n:150-990} {output}.
    Until then, everything [stays|goes on|is done] as before.
    The figures were [checked|rounded|taken from the books] {past}.
    It was agreed to [try again|wait|ask the {trade}] {soon}.
    """,
    words="""
    unit: warehouse; night shift; sales team; packing room; archive; repair desk; canteen; design office; front desk;
        accounts department; laboratory; postroom
    output: parcels; orders; invoices; phone calls; samples; pallets; requests; chairs; tests; contracts; drawings;
        visits
    change: new rota; shorter week; second entrance; price list; storage plan; safety drill; move to {town}; filing
        system;
        winter timetable; open office
    """,
)
