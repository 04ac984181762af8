"""Domains of `plain` that have a form of their own: instructions, notices, explanations, lists, programs, tables."""

from __future__ import annotations

from afterburn_behaviour.suites.plain_grammar import domain

INSTRUCTIONS = domain(
    """
    open:
    To [change|clean|remove|test] the {part}, [switch off|unplug|turn round|empty] the {device} and wait {n:2-30}
        minutes.
    Before you [open|move|first use] the {device}, read page {n:3-60} and [keep|find|count] the {n:3-12} {fastener}.
    Place the {device} on a [flat|dry|{stuff}] surface, at least {n:10-90} centimetres from [the wall|heat|curtains].
    If the {colour} light [blinks|stays on|goes out], the {part} is [full|loose|too warm].
    Attach the {part} to the {device} with {n:2-8} {fastener}, [hand-tight|clockwise|beginning at the top].
    Step {n:1-4}: [slide|press|lift] the {part} [towards you|to the left|upwards] until it [clicks|stops|comes free].
    The {device} [is not a toy|may get hot|weighs {n:6-40} kilos]; [two people|adults|gloves] are needed for the {part}.
    Charge the {device} for {n:2-14} hours, [overnight|with the lid closed|in a cool room], before {season}.
    body:
    [Hold the {part} upright|Set the {part} to {n:1-9}|Turn the {part} by a quarter] and [check|tighten|wipe] the
        {fastener}.
    Use [lukewarm water|a soft brush|a {n:3-12} millimetre key|no oil] on the {part}, {because} {colour}
        [paint|rubber] [cracks|stains] [easily|in the cold].
    Do not [force|bend|soak|paint] the {part}; a [drop of oil|light tap|second try] is enough.
    When the pointer [reaches|passes|drops below] {n:10-90}, [release|close|press] the {colour} [lever|cap|button]
        [once|for {n:2-9} seconds].
    [Repeat this|Do the same] on the [other side|back], [then|and only then] put the {fastener} back [in the same
        order|without washers|crosswise].
    A [faint|sharp] [hum|click|smell] is [normal|no fault|a sign of wear] during the first {n:2-20} [hours|uses].
    Spare {fastener} are in the {stuff} [bag|tray|box] [under|behind] the {part}.
    close:
    [Finally|Now], [plug in|close|turn on] the {device} and [listen|watch the light|wait for steam].
    [Store|Keep] the {device} [dry|upright|out of the sun] until {season}.
    Clean the {part} every {n:2-9} [weeks|months], [sooner|twice as often] in {town}'s hard water.
    If that does not help, [call|write to|visit] our workshop in {town} [with the serial number|by {month}].
    The guarantee [covers|does not cover] the {part}.
    Check the {fastener} again after {n:1-12} [days|months].
    """,
    words="""
    device: heater; coffee machine; lawn mower; bookshelf; projector; pressure cooker; bicycle trailer; air pump;
        sewing machine;
        ladder; water filter; cot; tent; greenhouse; bread maker; drill; pram
    part: filter; lid; blade; front panel; valve; battery; drawer; hose; seal; upper shelf; rear wheel; needle;
        handle; strap
    fastener: screws; bolts; clips; washers; pegs; hooks; plugs; pins; brackets
    """,
)

NOTICES = domain(
    """
    open:
    {weekday}, {n:2-28} {month}, {clock}: {course} with {woman#1} {surname}, room {n:1-40}, {price}.
    The {course} on {weekday} is [full|moved to {clock}|cancelled]; the one on {weekday} still has {n:2-12} places.
    Week {n:2-52}: {weekday} {course}, {weekday} {course}, {weekday} closed.
    From {n:2-28} {month} the {building} opens at {clock} and closes at {clock}.
    {n:2-9} {n:10-99} {n:100-999}: please call [before|after] {clock} if you [miss|want to swap] the {course}.
    Lost {past}: a {colour} {stuff} [bag|cap|case] [with a {n:10-90} euro note|near the {building}|during the {course}].
    For rent from {month}: {n:2-5} rooms, {n:38-140} square metres, {n:450-990} euros, [no lift|{colour} kitchen|near
        the {building}].
    Departures from {town}: {n:5-11}:{n:10-55}, {n:12-17}:{n:10-55} and {n:18-22}:{n:10-55}, on {weekday}s {n:30-55}
        minutes later.
    Wanted: {trade}, {n:12-38} hours a week, [from {month}|at once|for the {season}], in {town}.
    body:
    Bring [a towel|{n:2-6} photographs|an apron|your own {stuff}|sharp pencils]; [tea|parking|child care] is
        [free|{price}|included].
    [Members|Pupils|Guests over {n:60-70}] pay [half|{price}|nothing], all others {price}.
    [Doors|Desks|Lockers] {n:1-9} to {n:10-60} are [reserved|out of order|for {woman#2}'s group] until {clock}.
    In place of {man#1} {surname}, {woman#3} [teaches|chairs|answers] [until {month}|on both days].
    The list hangs [next to|under|opposite] the {colour} [clock|door|stairs] and [closes|is renewed] on {weekday}.
    There are {n:2-30} [seats|bicycles|rooms|copies], {n:1-9} of them [reserved|broken|on the ground floor].
    because of the {course}, [the gate|bus {n:2-40}|the car park] [stays open|stops|is closed] until {clock}.
    close:
    [Questions|Names|Deposits] to {man#2} {surname}, [weekdays|{weekday}s] from {clock}.
    [Register|Reply|Pay] by {n:2-28} {month}.
    [Late|Wet|Hungry] [comers|dogs|children] are [welcome|asked to wait outside].
    The office is closed {soon}.
    A reward of {price} is [offered|waiting].
    Next [date|time]: {weekday}, {n:2-28} {month}.
    Changes are [possible|posted at the {building}].
    """,
    words="""
    course: pottery; choir practice; first aid; Spanish for beginners; chess; yoga; book club; bicycle repair;
        watercolours;
        swimming lesson; accounting; folk dance; piano; debate evening; beekeeping; sewing circle
    """,
)

EXPLANATIONS = domain(
    """
    open:
    [Why|How] does {material} [float|crack|shine|smell] when it is [heated|wet|pressed|cut]?
    {material} [expands|shrinks|softens|hardens] by about {n:2-30} per cent [when heated|in water|under pressure].
    A {tool} [works|measures|moves] by [turning|splitting|storing] {quantity} into {quantity}.
    The simplest {tool} needs only {n:2-4} parts: a [spring|lens|float|wheel], a [frame|tube|rope] and {material}.
    To see how {quantity} changes, [hang|place|weigh] {material} next to a {tool} {for_long}.
    [Two|Three] kinds of {material} are [used|known|sold]: the {colour} one is {quite} [light|brittle|cheap].
    If one [doubles|halves] the {quantity}, the {quantity} [doubles|falls to a quarter|stays the same].
    Engineers {often} [prefer|avoid|test] {material}, {because} its {quantity} is {quite} [stable|hard to predict|low].
    Suppose a {tool} holds {n:3-90} litres and loses {n:1-9} every {n:5-50} minutes.
    body:
    Each [grain|layer|fibre|drop] [pushes|slides|pulls] against the next, {so} the {quantity} [builds up|spreads|is
        lost].
    Below {n:2-40} degrees the effect is [weak|hidden|reversed]; above that, {quantity} [takes over|rises sharply].
    Imagine {n:10-90} [people|marbles|boats] in a narrow [corridor|pipe|lock]: when one [stops|turns], [all wait|the
        rest crowd].
    The error is {quite} small, about {n:1-9} [parts in a hundred|millimetres per metre|minutes a week].
    With {material} instead of {material} the same {tool} would need [twice|half|ten times] the {quantity}.
    Part of the {quantity} [leaks|turns to heat|is carried off], and only {n:20-95} per cent [remain|reach the other
        end].
    A [pupil|{trade}|visitor] can show it with a {stuff} [cup|strip|bottle], {n:2-9} coins and some {material}.
    The same [rule|effect|trick] [makes a|lets every|can make a] [kettle|bridge|violin|boat] [sing|hum|creak|settle].
    close:
    That is why {tool_many} are [kept dry|painted {colour}|checked every {season}].
    [Strictly|Roughly] speaking, {quantity} is [not lost|only moved|shared].
    The answer is {n:2-90} [litres|minutes|grams], give or take {n:1-3}.
    In practice [dust|wind|wear|friction] [spoils|hides|slows] it.
    Without it, neither {tool_many} nor [clocks|lifts|brakes] would work.
    Whether it also holds for {material} is [unclear|easy to test|another question].
    """,
    words="""
    material: candle wax; beach sand; wet clay; cork; soap foam; thin ice; sugar; rubber; sheet copper; dry wood;
        glass wool;
        sea water; lamp oil; chalk; wool felt; concrete; resin
    tool: pump; balance; thermometer; pulley; water clock; dam; pendulum; sieve; bellows; compass; crane; gearbox;
        barometer
    tool_many: bridges; boilers; scales; sluices; telescopes; cables; brakes; chimneys; wind vanes
    quantity: pressure; heat; weight; speed; tension; friction; moisture; light; volume; voltage; pitch
    """,
)

LISTS = domain(
    """
    head:
    To do before {weekday}:
    Packing list, {n:2-14} days in {town}:
    {month}, first week:
    Notes from {woman#1}'s talk ({clock}):
    Things {relative} left in the {stuff} box:
    For {man#1}, from the shop by the {building}:
    # {season} plan for the {building}
    Budget ({n:2-9} people):
    item:
    - {n:2-30} {thing} ({colour})
    - call {man} {surname} about the {thing}
    - {thing}, {price}
    - {weekday} {clock}: {thing} to the {building}
    - no {thing} before {month}!
    - {n:1-9} kg of {thing}, [cheap|dry|fresh]
    - return {thing} to {woman}
    - ask the {trade}: {n:2-40} or {n:41-90} {thing}?
    - [old|spare|borrowed] {thing}, {stuff}
    - {thing} and {thing}, both {colour}
    - {n:10-95} % {thing}, the rest {thing}
    end:
    - and [sleep|bread|stamps|nothing else]
    Total: {price}
    Done: {n:1-5} of {n:6-12}
    (see page {n:3-90})
    - if there is time: {thing}
    """,
    orders="head item item item end/head item item item item end/head item item item item item",
    join="\n",
    words="""
    thing: nails; socks; lemons; paint; candles; tickets; rope; seeds; batteries; chairs; towels; letters; eggs;
        plates; wire;
        maps; soap; books; tape; apples; blankets; string; lamps; coins; buttons; flour; envelopes; cups
    """,
)

PROGRAMS = domain(
    r"""
    head:
    def {verb}_{noun#1}({noun#2}, limit={n:2-90}):
    def {verb}_{noun#1}(path, {noun#2}=None):
    for {noun#2} in {verb}_{noun#1}({n:2-40}):
    while {noun#1} < {n:10-99} and not {noun#2}:
    if len({noun#1}) > {n:2-30} or {noun#2} == "{town}":
    with open("{noun#1}_{n:2-90}.csv") as {noun#2}:
    class {man}{surname}({woman}):
    first:
    \t# {verb} every {noun} from {town}, at most {n:3-60}
    \t{noun#1} = ⟨{n:1-9}, {n:10-40}, {n:41-99}⟩
    \ttotal_{noun#3} = {n:0-20}
    \t{noun#3} = ‹"{colour}": {n:2-9}, "{town}": {n:10-99}›
    \t# Return the {noun} of each {noun#2}, in {month} order.
    \tassert {noun#2} != {n:2-99}, "no {noun} on {weekday}"
    middle:
    \t{noun#3} = {noun#2} * {n:2-12} + {n:1-60}
    \tif {noun#2} % {n:2-9} == {n:0-1}:\n\t\tcontinue
    \tprint(f"‹{noun#2}› of {n:20-99} in {town}")
    \t{noun#1}.append({verb}_{noun}({noun#2}, {n:2-50}))
    \ttry:\n\t\t{noun#3} = int({noun#2})\n\texcept ValueError:\n\t\t{noun#3} = {n:0-9}
    \t{noun#2} = sorted({noun#1}, key=lambda {noun#4}: -{noun#4}⟨{n:0-3}⟩)
    \tlog.{level}("{verb} %s: {n:2-90} {noun} left", {noun#2})
    \t{noun#1} -= {n:1-9}  # one {noun} less each {weekday}
    last:
    \treturn {noun#1}⟨:{n:2-20}⟩
    \treturn {noun#2} if {noun#1} else {n:2-90}
    \tyield {noun#2}, {noun#1}
    \traise KeyError("{noun} {n:10-99}")
    \tbreak
    """,
    orders="head first middle last/head middle middle last/head first middle middle/head first middle middle last",
    join="\n",
    words="""
    verb: read; merge; count; parse; drop; find; shift; split; check; group; scale; list; load; trim; rank; pick
    noun: order; row; price; item; page; score; name; city; bill; day; word; line; user; node; route; stock; batch;
        note;
        width; color
    level: info; debug; warning; error
    """,
)

TABLES = domain(
    """
    head:
    town,{column},{column},{month}
    day | {column} | {column}
    {column};{column};price
    {surname} & {surname}, {n:2-28} {month}, invoice {n:1000-9999}
    Table {n:1-14}. {column} by {column}, {town}, {n:1950-2020}
    row:
    {town},{n:2-99},{n:100-999},{n:1-9}.{n:10-99}
    {weekday} | {n:2-60} | {n:0-9}.{n:10-99}
    {colour};{n:3-80};{price}
    {n:2-40} x {column}, {stuff}: {price}
    {man} {surname},{n:18-80},{town}
    {n:1990-2020}\t{n:100-900}\t{n:1-99} %
    end:
    [sum|mean|total]: {n:100-990}.{n:10-99}
    # {n:2-9} rows left out ([no|wrong|late] {column})
    source: {column} office, {town}
    """,
    orders="head row row row/head row row row end/head row row row row end",
    join="\n",
    words="""
    column: visitors; rainfall; rent; bicycles; width; tickets; age; harvest; weight; households; depth; noise;
        trees; salary
    """,
)
