"""Facts of places: capitals, rivers, continents, sights, currencies and languages."""

from __future__ import annotations

from afterburn_behaviour.suites.facts_table import Relation, facts_of, reversed_facts

_CAPITALS = facts_of("""
Australia=Canberra!Sydney!Melbourne; Austria=Vienna; Belgium=Brussels; Bulgaria=Sofia; Canada=Ottawa!Toronto!Montreal;
Chile=Santiago; China=Beijing|Peking!Shanghai; Colombia=Bogotá|Bogota; Croatia=Zagreb; Cuba=Havana;
Denmark=Copenhagen; Ecuador=Quito; Egypt=Cairo; Estonia=Tallinn; Ethiopia=Addis Ababa; Finland=Helsinki; France=Paris;
Georgia=Tbilisi; Germany=Berlin!Bonn; Ghana=Accra; Greece=Athens; Hungary=Budapest; Iceland=Reykjavík|Reykjavik;
India=New Delhi!Mumbai; Iran=Tehran|Teheran; Iraq=Baghdad; Ireland=Dublin; Italy=Rome!Milan; Jamaica=Kingston;
Japan=Tokyo!Kyoto!Osaka; Jordan=Amman; Kenya=Nairobi; Laos=Vientiane; Latvia=Riga; Lebanon=Beirut; Libya=Tripoli;
Lithuania=Vilnius; Madagascar=Antananarivo; Mali=Bamako; Malta=Valletta; Mongolia=Ulaanbaatar|Ulan Bator;
Morocco=Rabat!Casablanca!Marrakesh; Namibia=Windhoek; Nepal=Kathmandu; New Zealand=Wellington!Auckland;
Nigeria=Abuja!Lagos; Norway=Oslo!Bergen; Pakistan=Islamabad!Karachi!Lahore; Peru=Lima; Philippines=Manila;
Poland=Warsaw; Portugal=Lisbon; Romania=Bucharest; Russia=Moscow!Saint Petersburg; Saudi Arabia=Riyadh; Senegal=Dakar;
Serbia=Belgrade; Slovakia=Bratislava; Slovenia=Ljubljana; Somalia=Mogadishu; South Korea=Seoul;
Spain=Madrid!Barcelona; Sudan=Khartoum; Sweden=Stockholm; Switzerland=Bern|Berne!Zurich!Geneva; Syria=Damascus;
Thailand=Bangkok; Turkey=Ankara!Istanbul; Uganda=Kampala; Ukraine=Kyiv|Kiev; Uruguay=Montevideo; Venezuela=Caracas;
Vietnam=Hanoi!Ho Chi Minh City; Zambia=Lusaka; Zimbabwe=Harare; Cambodia=Phnom Penh; Albania=Tirana; Armenia=Yerevan;
Azerbaijan=Baku; Belarus=Minsk; Botswana=Gaborone; Rwanda=Kigali; Uzbekistan=Tashkent; Bhutan=Thimphu;
Suriname=Paramaribo; Afghanistan=Kabul
""")

_RIVERS = facts_of("""
Vienna=Danube; London=Thames; Paris=Seine; Rome=Tiber; Cairo=Nile; Baghdad=Tigris; Prague=Vltava|Moldau;
Warsaw=Vistula; Florence=Arno; Dresden=Elbe; Cologne=Rhine; Lisbon=Tagus|Tejo; Seville=Guadalquivir; Dublin=Liffey;
New Orleans=Mississippi; Saint Petersburg=Neva; Kyiv=Dnieper|Dnipro; Turin=Po; Basel=Rhine; Budapest=Danube;
Bordeaux=Garonne; Glasgow=Clyde; Newcastle=Tyne; Munich=Isar; Zaragoza=Ebro; Bern=Aare; Porto=Douro
""")

_CONTINENTS = facts_of("""
Kenya=Africa; Peru=South America; Mongolia=Asia; Nepal=Asia; Chad=Africa; Bolivia=South America; Canada=North America;
Portugal=Europe; Norway=Europe; Madagascar=Africa; Laos=Asia; Uruguay=South America; Cuba=North America;
Latvia=Europe; Namibia=Africa; Sri Lanka=Asia; Ecuador=South America; New Zealand=Oceania|Australasia; Fiji=Oceania;
Samoa=Oceania; Slovenia=Europe; Ghana=Africa; Vietnam=Asia; Mexico=North America; Ireland=Europe; Botswana=Africa;
Guyana=South America
""")

_SIGHTS = facts_of("""
Machu Picchu=Peru; the rock city of Petra=Jordan; Angkor Wat=Cambodia; the Taj Mahal=India; the Colosseum=Italy;
the Alhambra=Spain; the Parthenon=Greece; Stonehenge=England|United Kingdom|UK|Britain|Great Britain;
Chichén Itzá=Mexico; the Great Pyramid of Giza=Egypt; the palace of Versailles=France; Neuschwanstein castle=Germany;
Mount Kilimanjaro=Tanzania; Mount Fuji=Japan; Uluru=Australia; Borobudur=Indonesia; the Hagia Sophia=Turkey|Türkiye;
the ruins of Persepolis=Iran; the rock churches of Lalibela=Ethiopia; Easter Island=Chile; Timbuktu=Mali;
the ruins of Carthage=Tunisia; the Kremlin=Russia; Wawel castle=Poland; the city of Samarkand=Uzbekistan
""")

_CURRENCIES = facts_of(
    """
Japan=yen; the United Kingdom=pound|sterling; India=rupee; China=yuan|renminbi; Russia=rouble|ruble;
Switzerland=franc; Sweden=krona|kronor; Norway=krone|kroner; Denmark=krone|kroner; Poland=złoty|zloty;
Czechia=koruna|crown|koruny; Hungary=forint; Turkey=lira; Mexico=peso; Brazil=real|reais; Thailand=baht;
Vietnam=dong|đồng; South Korea=won; Indonesia=rupiah; Malaysia=ringgit; Israel=shekel|sheqel; Ukraine=hryvnia;
Romania=leu|lei; Albania=lek; Georgia=lari; Armenia=dram; Kazakhstan=tenge; Bangladesh=taka; Ethiopia=birr;
Nigeria=naira; Ghana=cedi; Kenya=shilling; South Africa=rand; Zambia=kwacha; Peru=sol|soles; Paraguay=guaraní|guarani;
Costa Rica=colón|colon|colones; Guatemala=quetzal|quetzales; Honduras=lempira; Morocco=dirham; Jordan=dinar;
Saudi Arabia=riyal; Botswana=pula; Laos=kip; Cambodia=riel; Angola=kwanza; Mongolia=tögrög|tugrik; Argentina=peso;
Australia=dollar; Canada=dollar
""",
    plural=True,
)

_SPOKEN = facts_of("""
Brazil=Portuguese; Austria=German; Mexico=Spanish; Egypt=Arabic; Iran=Persian|Farsi; Israel=Hebrew; Cuba=Spanish;
Angola=Portuguese; Mozambique=Portuguese; Senegal=French; Liechtenstein=German; San Marino=Italian; Suriname=Dutch;
Cambodia=Khmer; Bangladesh=Bengali|Bangla; Jamaica=English; Argentina=Spanish; Liberia=English
""")

_THANKS = facts_of("""
danke=German; merci=French; gracias=Spanish; obrigado=Portuguese; grazie=Italian; arigatō=Japanese; spasibo=Russian;
dziękuję=Polish; děkuji=Czech; köszönöm=Hungarian; kiitos=Finnish; efcharistó=Greek; teşekkür ederim=Turkish;
mulțumesc=Romanian; dank je wel=Dutch; aitäh=Estonian; ačiū=Lithuanian; paldies=Latvian; diolch=Welsh;
eskerrik asko=Basque|Euskara; asante=Swahili|Kiswahili; go raibh maith agat=Irish|Irish Gaelic|Gaelic; gràcies=Catalan
""")

PLACES = (
    Relation(
        name="capital",
        category="geography",
        facts=_CAPITALS,
        questions=(
            "What is the capital of {subject}?",
            "Which city is the capital of {subject}?",
            "Name the capital city of {subject}.",
            "Where does the state of {subject} have its capital?",
        ),
    ),
    Relation(
        name="country",
        category="geography",
        facts=reversed_facts(_CAPITALS),
        questions=(
            "Of which country is {subject} the capital?",
            "{subject} is the capital of which country?",
            "Which country has {subject} as its capital?",
        ),
    ),
    Relation(
        name="river",
        category="geography",
        facts=_RIVERS,
        questions=(
            "On which large river does the city of {subject} lie?",
            "Which river flows through {subject}?",
            "Name the best-known river that passes through {subject}.",
        ),
    ),
    Relation(
        name="continent",
        category="geography",
        facts=_CONTINENTS,
        questions=(
            "On which continent is {subject}?",
            "To which continent does {subject} belong?",
            "Name the part of the world, as continents are usually counted, in which {subject} lies.",
        ),
    ),
    Relation(
        name="sight",
        category="geography",
        facts=_SIGHTS,
        questions=(
            "In which present-day country is {subject}?",
            "Which country must one visit to see {subject}?",
            "Name the country to which {subject} belongs today.",
        ),
    ),
    Relation(
        name="currency",
        category="currencies",
        facts=_CURRENCIES,
        questions=(
            "What is the currency of {subject} called?",
            "With which currency do people pay in {subject}?",
            "Name the unit of money of {subject}.",
            "Prices in {subject} are given in which currency?",
        ),
    ),
    Relation(
        name="spoken",
        category="languages",
        facts=_SPOKEN,
        questions=(
            "What is the official language of {subject}?",
            "In which language are the laws of {subject} written?",
            "Name the language that the government of {subject} uses.",
        ),
    ),
    Relation(
        name="thanks",
        category="languages",
        facts=_THANKS,
        questions=(
            'In which language does one say "{subject}" for "thank you"?',
            '"{subject}" means "thank you" in which language?',
            'Somebody thanks you with "{subject}". Which language is that?',
            'Which language has "{subject}" as its usual word of thanks?',
        ),
    ),
)
