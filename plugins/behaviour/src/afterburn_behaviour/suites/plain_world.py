"""Domains of `plain` about weather, roads, nature, the past, the town, sport and the body."""

from __future__ import annotations

from afterburn_behaviour.suites.plain_grammar import domain

WEATHER = domain(
    """
    open:
    [Rain|Fog|Drizzle|Sleet|Light snow] [will spread|is moving|drifts] from {town} to the {direction} by {clock}.
    After a {quite} [cold|mild|grey] night, {weekday} [begins|starts|opens] with {sky} over {town}.
    The {season} was [drier|wetter|cooler|windier] than any in the last {n:8-60} years, [above all|even] in {town}.
    At {clock} the thermometer by the {building} [showed|read|stood at] {n:2-34} degrees.
    A [storm|gale|cloudburst|hailstorm] [broke|bent|flattened] {many} [branches|fences|tents] near {town} {past}.
    Farmers around {town} have [waited|hoped|prayed] for [rain|sun|frost] {for_long}.
    {sky} [covered|hung over|hid] the [hills|harbour|valley] {for_long} {past}.
    Forecast for {weekday}, {n:2-28} {month}: {sky}, {n:4-29} degrees, wind from the {direction}.
    The first [snow|frost|warm day] of the year [came|arrived|fell] on a {weekday} in {month}.
    body:
    Winds of up to {n:30-95} kilometres an hour [are expected|shook the roofs|delayed the ferry] [along the coast|on
        the ridge].
    By {clock} the [clouds|mist|showers] will have [cleared|thinned|moved on], {but} the air [stays|remains]
        [damp|cool|heavy].
    {n:4-70} millimetres fell within {n:2-18} hours, about [half|twice] as much as in [all of {month}|a usual {season}].
    In the {direction} it [stays|will be|was] {quite} [bright|dull|stormy], with {sky} in the afternoon.
    [Roads|Paths|Steps] may be [icy|flooded|slippery] [before {clock}|near the river|above {n:300-900} metres].
    Children [built|slid|splashed] in front of the {building}, while {relative} [swept|shivered|watched].
    The river [rose|sank] by {n:12-90} centimetres and [reached|left|stopped just below] the {building}.
    {because} the [ground|sea|lake] is still [warm|cold], mist [forms|lingers|returns] in the [mornings|low fields].
    close:
    Temperatures [climb|drop|settle] to {n:3-28} degrees {soon}.
    Those who [travel|garden|sail] should [wait|take a coat|start early].
    [Towards|On] {weekday} it turns [milder|colder|calm], with {sky}.
    {relative} had [a roof to mend|known it all along|left the windows open].
    No change is [expected|in sight|likely] before {weekday}.
    It was the [longest|third|last] such spell since {n:1921-2009}.
    By evening there was [a rainbow|a red sky|silence] over {town}.
    """,
    words="""
    direction: north; south; east; west; north-west; south-east; coast; hills; far north; lowlands
    sky: low cloud; a pale sun; sunny spells; scattered showers; a thin veil of cloud; thick fog; blue sky; dark clouds;
        passing snow showers; thunder in places; a milky haze
    """,
)

TRAVEL = domain(
    """
    open:
    The [train|bus|ferry|night coach] to {town} leaves at {clock} from [platform|stop|pier] {n:2-14}.
    We reached {town} {past} after {n:3-19} hours on a {quite} {bad} [road|boat|train].
    {woman#1} [packed|forgot|sold] her {luggage} and set off for {town} on a {weekday} in {month}.
    Between {town} and {town} the road [climbs|follows the river|runs through {n:2-9} tunnels].
    Our room [above|behind|next to] the {building} cost {price} a night, with [breakfast|a view|{many} flies].
    A {trade} from {town} [drove|guided|rowed] us to the {sight} for {price}.
    The guidebook [praises|skips|misplaces] the {sight}, {but} {relative} would go there again {soon}.
    {man#1} has crossed the {sight} {n:3-30} times, {often} [on foot|by bicycle|at dawn], never in {season}.
    From the {building} it is {n:10-70} minutes on foot to the {sight}.
    body:
    At the border an officer [stamped|studied|smiled at] our {luggage} and asked about [fruit|the dog|{town}].
    Tickets are [sold|checked|cheaper] [on board|at the {building}|before {clock}]; children pay {price}.
    We [ate|slept|waited] in a {colour} [hut|café|waiting room] where {many} [hikers|soldiers|pilgrims]
        [sang|snored|played cards].
    The last {n:3-15} kilometres lead past {sight_with} and a {building}.
    {because} the bridge was [closed|gone|under repair], we took the [long way|cable car|goods train] round.
    A map on {stuff}, [hung|nailed|painted] by the door, showed every [well|inn|ford] up to {town}.
    Her {luggage} weighed {n:7-29} kilos, far too much for the [stairs|mule|small boat].
    One {often} sees [herons|fishermen|goats|cyclists] there, [mostly|especially] {n:2-5} hours before [sunset|noon].
    close:
    The way back takes [half|twice] as long, because of the [wind|crowds|stairs].
    {soon} we go on to {town}, [weather permitting|with or without {man#2}|if the money lasts].
    I would [stay|return|book] [longer|in {month}|a room further up] next time.
    Bring [water|a torch|small coins|good shoes] and [patience|a hat|a book].
    It closes at {clock}, on {weekday}s even earlier.
    Nothing was [stolen|lost|broken] but [a {colour} sock|{relative}'s pride|one {n:2-9} euro ticket].
    That evening {town} [lay|glittered|smoked] below us.
    """,
    words="""
    luggage: suitcase; rucksack; papers; camera bag; sleeping bag; trunk; basket of pears; passport; folding bicycle
    sight: lighthouse; waterfall; old bridge; monastery; salt lake; pass; ruined castle; botanical garden; canyon;
        harbour;
        hot springs; rope bridge; stone circle
    sight_with: vineyards; an empty quarry; {n:2-9} windmills; a reed bed; fields of {colour} flowers; a silent factory
    """,
)

NATURE = domain(
    """
    open:
    The {animal} [builds|hides|leaves] its [nest|burrow|store] in {habitat}, {often} less than {n:2-40} metres from
        water.
    In {month} the first {animal_many} [return to|cross|leave] {habitat} near {town}.
    {habitat} [holds|shelters|feeds] {many} kinds of {plant}, and [one|some] of them [bloom|seed] as early as {month}.
    An adult {animal} weighs about {n:2-90} [grams|kilos] and [lives|sleeps|eats] alone {for_long}.
    {woman#1} counted {n:11-96} {animal_many} in {habitat} {past}.
    When the {season} is dry, {plant} [curl|drop|fold] their leaves and [wait|go brown|rest].
    A fallen [oak|beech|pine|willow] is [food|shelter|a ladder] for {animal_many} [for decades|until nothing is left].
    {plant} grow {quite} slowly: {n:2-30} centimetres in {n:2-12} years is normal in {habitat}.
    Few people have [heard|watched|followed] a {animal} at [dusk|dawn|midnight] in {habitat}.
    body:
    It [feeds|lives] on {food} and {food}, [which it digs up|which it stores|found] [under|between] {plant}.
    Its {colour} [back|tail|throat|belly] is hard to see among {plant} and [dead leaves|wet stones|shadows].
    The young [leave|open their eyes|learn to hunt] after {n:2-9} weeks, {but} {many} [stay|return] until {season}.
    Where [goats|deer|sheep] graze, {plant} [vanish|thin out|stay low], and {animal_many} [move on|follow].
    At night the temperature there [falls|drops] by {n:6-25} degrees, {so} {animal_many} [huddle|dig in|sleep].
    Their call, [two|three] short [whistles|clicks|barks], [carries|is heard] {n:200-950} metres [over water|in still
        air].
    Bees [visit|prefer|avoid] the {colour} flowers, {because} the nectar lies {n:3-20} millimetres deep.
    A {trade} in {town} has [drawn|filmed|counted] them every {season} since {n:1968-2015}.
    close:
    By {month} the [ground|pond|wood] is [silent|white|full of seeds] again.
    Without {food}, [few|none] [would|could] [stay|survive the {season}|breed] [here|there|for long].
    So far only {n:3-40} such places are known.
    The [rest|secret] lies [underground|in the roots|in the timing].
    Walkers should [keep to the path|leash their dogs|speak softly] until {month}.
    [Wet|Good|Warm] years bring [twice|ten times] as many[, or more|, at least in {month}|].
    [That is|Here is] a {quite} {good} reason to [get up early|protect {habitat}|look closely].
    """,
    words="""
    animal: hedgehog; kingfisher; dormouse; beaver; tawny owl; grass snake; badger; pine marten; otter; mole; crane;
        hare
    animal_many: swallows; toads; bats; beetles; dragonflies; finches; voles; herons; moths; ants; deer; woodpeckers
    plant: mosses; ferns; wild orchids; reeds; lichens; thistles; sedges; brambles; junipers; water lilies; heathers;
        birches
    habitat: the old quarry; the salt marsh; a hollow lime tree; the upper meadow; the alder swamp; the dunes;
        the beech wood; the gravel bank; a dry ditch; the peat bog; the orchard; the flooded field
    food: snails; beetle larvae; hazelnuts; earthworms; seeds; small fish; rose hips; fallen apples; spiders; roots;
        acorns
    """,
)

PAST = domain(
    """
    open:
    In {n:1640-1910} a {trade} from {town} [built|bought|founded|opened] the first {work} [on the river|outside the
        walls].
    For {n:2-6} centuries the {work} of {town} [fed|ruled|divided|lit] the whole valley.
    Little is known of {woman#1} {surname}, who [kept|drew|taught] at the {work} until {n:1701-1890}.
    When the [flood|fire|plague|siege] of {n:1540-1880} was over, {town} had lost {many} houses and its {work}.
    Old [maps|letters|tax rolls] show {n:3-28} {work_many} between {town} and the [coast|pass|border].
    The {building} of {town} stands where a {work} [burned|was sold|fell down] in {n:1612-1904}.
    Before there were [railways|bridges|clocks], people in {town} [paid|travelled|told time] by [boat|salt|the bells].
    {man#1} {surname}, [son|nephew|pupil] of a {trade}, [inherited|ruined|rebuilt] the {work} in {n:1690-1899}.
    A [coin|tile|wooden shoe|ledger] found near {town} {past} is about {n:300-900} years old.
    body:
    The [council|bishop|guild|widow] [forbade|demanded|lent] {n:20-900} [coins|loads of stone|workers] for it.
    Its walls, {n:2-5} metres thick, were of [brick|rubble|{stuff}] and [timber|lime|clay].
    Every {season} {many} [carts|barges|mules] brought {cargo} and {cargo} to the gates.
    Women [span|carried|sold] {cargo}; the men [dug|guarded|loaded] until the bell at {clock}.
    A {trade} earned [as much|half as much] in a {season} as a {work} [brought in|cost] in a day.
    [Fire|Frost|Debt|A quarrel] [closed|emptied|halved] it in {n:1720-1905}, {but} the {cargo} trade went on.
    According to one [monk|traveller|clerk], the [streets|cellars|towers] were {quite} {bad} and full of {cargo}.
    Two [daughters|brothers|cousins] of the {surname} family [shared|disputed|gave away] the {work} {for_long}.
    close:
    Today only [a wall|the cellar|its name|a {colour} door] is left.
    Some {cargo} [lies|is shown|rots] in [the museum|a cellar|a chapel] of {town}.
    What [became|was made] of the {surname} family, nobody [wrote down|knows].
    It took until {n:1911-1969} to [repair|forget|repay] it.
    The last {trade} [left|died|was paid] in {n:1870-1960}.
    Children still [sing|play|dare each other] there.
    Historians [disagree|have only begun to ask] about the [reason|year|number].
    """,
    words="""
    work: mill; ferry; salt works; glass workshop; printing house; toll bridge; brewery; rope yard; inn; market cross;
        weaving house; shipyard; watch tower
    work_many: mills; ferries; forges; inns; dye works; tanneries; breweries; lime kilns
    cargo: wool; salt; grain; herring; copper; wine; timber; hides; candles; cloth; tar; iron nails; honey
    """,
)

TOWN = domain(
    """
    open:
    The {event} in front of the {building} [drew|cost|upset] {n:60-980} [visitors|people|euros] {past}.
    {town} will [close|widen|rename|light] {street} {soon}, [the council said|as {woman#1} {surname} explained].
    {street} has had [no pavement|{n:2-9} bakeries|a {colour} bus stop] {for_long}.
    Volunteers [cleaned|painted|counted|planted] {many} [benches|trees|lamps] along {street} {past}.
    The {building} of {town} opens {soon} at {clock}, [after|following] {n:2-7} years of building work.
    {man#1} {surname}, {n:31-79}, has been a {trade} in {street} {for_long}.
    A {colour} [van|tram|handcart] [blocked|brushed|circled] {street} {past} during the {event}.
    Residents of {street} [collected|handed over|counted] {n:110-970} signatures against the {event}.
    Entry to the {event} is [free|{price}|by ticket only]; the doors of the {building} open at {clock}.
    body:
    The [mayor|organiser|{trade}] [thanked|blamed|invited] everybody who [came|helped|lives nearby].
    Buses {n:2-48} and {n:50-99} will [turn|stop|wait] at the {building} until {weekday}.
    {woman#2} {surname} would [rather|sooner] have [trees|a playground|cheaper rents|a library] there.
    It costs {price} [a day|per person|a month], which [some|most] [welcome|regret|call fair].
    Police [counted|stopped|towed] {n:3-40} [cars|cyclists|scooters] between {clock} and {clock}.
    Music came from [a {colour} lorry|the steps|an upstairs window], played by {many} [pupils|pensioners|students].
    The plan [allows|needs|lacks] {n:12-90} [parking spaces|flats|lamps] and a [fountain|lift|second exit].
    because of the noise, [the choir|an owl|the night school] has moved to the {building} in {town}.
    close:
    A decision is [due|expected|promised] {soon}.
    The next {event} takes place in {month}.
    [Comments|Gifts|Lost gloves] can be left at the {building} on {weekday}s.
    Nobody was [hurt|fined|surprised].
    "We [like it|had expected more|will be back]," said a {trade} from {town}.
    By {clock} the street was [swept|empty|quiet] again.
    Whether that [helps|lasts|is enough], {season} will show.
    """,
    words="""
    event: flea market; street fair; half marathon; book sale; lantern parade; building site; open-air cinema;
        farmers' market;
        brass concert; chess tournament; council meeting; flower show
    street: Mill Lane; Station Road; the High Street; Orchard Way; Harbour Street; Church Row; Bridge Street; Canal
        Walk;
        Lime Avenue; Potter's Yard; North Parade; Well Street
    """,
)

SPORT = domain(
    """
    open:
    {town} beat {town} by {n:12-40} points to {n:3-11} {past} [in front of|before] {n:150-990} spectators.
    {woman#1} {surname} [ran|swam|rowed|cycled] the {n:3-40} kilometres in {n:11-59} minutes {past}.
    After {n:3-12} [wins|defeats|draws] in a row, the {team} of {town} [changed|kept|thanked] their coach.
    The {team} [train|meet|play] on {weekday}s at {clock} behind the {building}.
    It was {man#1} {surname}'s {n:4-19}th [start|season|match] for the {team}, and his [best|last|longest].
    With {n:2-9} minutes left, the {team} were {n:2-9} points [ahead|behind].
    Beginners [are welcome|pay {price}|get a {colour} shirt] at the {team} of {town} from {month} on.
    A [torn muscle|wet track|broken oar|flat tyre] [cost|spared|worried] {woman#1} {surname} {past}.
    body:
    The [referee|wind|crowd|goalkeeper] [helped|hesitated|was booed], {but} the {n:4-9}th [try|shot|round]
        [counted|missed].
    [Before|After] the break {man#2} {surname} [came on|scored twice|hurt his knee] and the game
        [turned|slowed|opened up].
    Their [captain|youngest player|coach], a {trade} from {town}, [shouted|limped|smiled] throughout.
    The course [climbs|winds|falls] {n:80-700} metres [through woods|along the river|past the {building}].
    Most of the {n:9-30} members are over {n:35-70}; [one|the oldest] is a {trade}.
    A {colour} flag marks the [turn|start|last bend], where {many} [fell|gave up|changed bicycles].
    She had [slept badly|eaten only {n:2-6} bananas|trained in the hall] {for_long} before.
    {n:3-20} [penalties|fouls|corners] were given, [most|half] of them before {clock}.
    close:
    [The return match|A rematch|Their next game] is on {weekday}[ in {town}|, {clock}| at the {building} field].
    They now [stand|lie] in {place} place with {n:12-60} points.
    "[Legs|Luck|Patience] decided it," [said|admitted] the [winner|coach|loser].
    The cup stays in {town} until {month}.
    It rained [throughout|at the end|only on the losers].
    Training [starts|goes on] {soon}.
    Tickets for the {season} cost {price}.
    """,
    words="""
    team: handball women; rowing club; second eleven; veterans; swimmers; table tennis team; cycling club; climbers;
        juniors;
        curling team; fencing school
    place: first; second; third; fifth; eighth; last
    """,
)

BODY = domain(
    """
    open:
    A [walk|nap|stretch|bath] of {n:10-45} minutes {often} [helps|does more] [against|for] {complaint} than
        [tea|tablets|rest].
    {relative} had {complaint} {for_long} before the [doctor|nurse|chemist] in {town} [listened|asked about
        sleep|took blood].
    The {clinic} in {town} is open from {clock}, on {weekday}s from {clock}.
    Most adults [sleep|sit|walk] {n:4-9} hours a day, [more|less] in {season}.
    {woman#1} goes to the {clinic} every {n:2-9} weeks because of {complaint}.
    Before {part} exercises, [warm up|stand|breathe slowly] for {n:3-15} minutes.
    Whoever [lifts|types|drives|kneels] all day knows {complaint}.
    The new [glasses|shoes|chair|pillow] cost {price} and [cured|eased|moved] {relative}'s {complaint}.
    body:
    [Bend|Lift|Turn] the {part} {n:5-20} times, [rest|count to {n:10-40}], and [repeat|change sides].
    She [drinks|eats|writes down] {n:2-9} [glasses|apples|lines] a day and goes to bed at {clock}.
    [Cold|Warm] [water|cloths|packs] on the {part} [bring|give] relief [within|after] {n:5-50} minutes.
    Of {n:40-300} people [asked|examined] there, {n:5-38} had {complaint} as well.
    The {trade} next door swears by [onions|wool|swimming|an early supper], {but} it is {quite} {bad} for the {part}.
    If it [lasts|returns|spreads] for more than {n:3-20} days, a [doctor|specialist] should [look at it|know].
    [Light|Noise|Dry air|Haste] makes it worse, [above all|mostly] [at work|in {month}|after {clock}].
    close:
    {soon} there will be [a second test|new shoes|a course at the {building}].
    By {season} [most|nine in ten] have [forgotten it|recovered|stopped coming].
    It is [free|{price} a visit|paid for] [with|without] a letter.
    Nobody should [drive|fast|swim] right afterwards.
    A [diary|photo|list] of good and bad days {often} [helps|is enough].
    Children [need|are given] half of that.
    """,
    words="""
    complaint: back pain; a stiff neck; headaches; poor sleep; sore knees; a dry cough; tired eyes; cold feet; hay
        fever;
        a ringing in the ears; cramp in the calf
    part: shoulder; knee; lower back; wrist; neck; ankle; hip; elbow
    clinic: eye clinic; dental practice; health centre; physiotherapy; blood bank; travel clinic; hearing centre
    """,
)
