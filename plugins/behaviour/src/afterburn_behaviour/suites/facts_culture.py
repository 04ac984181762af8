"""Facts of culture: books, works of art and music, events, discoveries and gods."""

from __future__ import annotations

from afterburn_behaviour.suites.facts_table import Relation, facts_of, reversed_facts

_BOOKS = facts_of("""
Don Quixote=Miguel de Cervantes|Cervantes; Hamlet=William Shakespeare|Shakespeare;
the Divine Comedy=Dante Alighieri|Dante; the Odyssey=Homer; the Aeneid=Virgil|Vergil; the Metamorphoses=Ovid;
The Canterbury Tales=Geoffrey Chaucer|Chaucer; the Decameron=Giovanni Boccaccio|Boccaccio;
Paradise Lost=John Milton|Milton; Robinson Crusoe=Daniel Defoe|Defoe; Gulliver's Travels=Jonathan Swift|Swift;
Candide=Voltaire; the tragedy Faust=Johann Wolfgang von Goethe|Goethe;
the play William Tell=Friedrich Schiller|Schiller; Pride and Prejudice=Jane Austen|Austen;
Frankenstein=Mary Shelley!Percy Shelley; Ivanhoe=Walter Scott|Scott; Eugene Onegin=Alexander Pushkin|Pushkin;
Dead Souls=Nikolai Gogol|Gogol; The Three Musketeers=Alexandre Dumas|Dumas; Les Misérables=Victor Hugo|Hugo;
Jane Eyre=Charlotte Brontë|Charlotte Bronte!Emily Brontë;
Wuthering Heights=Emily Brontë|Emily Bronte!Charlotte Brontë; Moby-Dick=Herman Melville|Melville;
Walden=Henry David Thoreau|Thoreau; Leaves of Grass=Walt Whitman|Whitman; Madame Bovary=Gustave Flaubert|Flaubert;
Les Fleurs du mal=Charles Baudelaire|Baudelaire; Great Expectations=Charles Dickens|Dickens;
Middlemarch=George Eliot|Mary Ann Evans; War and Peace=Leo Tolstoy|Tolstoy;
Crime and Punishment=Fyodor Dostoevsky|Dostoevsky|Dostoyevsky|Fyodor Dostoyevsky;
Fathers and Sons=Ivan Turgenev|Turgenev; The Cherry Orchard=Anton Chekhov|Chekhov; A Doll's House=Henrik Ibsen|Ibsen;
The Jungle Book=Rudyard Kipling|Kipling; Alice's Adventures in Wonderland=Lewis Carroll|Charles Dodgson;
Treasure Island=Robert Louis Stevenson|Stevenson; Adventures of Huckleberry Finn=Mark Twain|Samuel Clemens;
Around the World in Eighty Days=Jules Verne|Verne; The Picture of Dorian Gray=Oscar Wilde|Wilde;
Dracula=Bram Stoker|Stoker; The Raven=Edgar Allan Poe|Poe; The Little Mermaid=Hans Christian Andersen|Andersen;
Germinal=Émile Zola|Emile Zola|Zola; Tartuffe=Molière|Moliere; The Scarlet Letter=Nathaniel Hawthorne|Hawthorne;
The Prince=Niccolò Machiavelli|Machiavelli; Utopia=Thomas More; The Wealth of Nations=Adam Smith;
the dialogue The Republic=Plato; the tragedy Antigone=Sophocles; the comedy The Frogs=Aristophanes;
the tragedy Medea=Euripides; the Oresteia=Aeschylus; The Tale of Genji=Murasaki Shikibu|Lady Murasaki|Murasaki;
Heart of Darkness=Joseph Conrad|Conrad
""")

_PAINTINGS = facts_of("""
the Mona Lisa=Leonardo da Vinci|Leonardo|da Vinci; The Starry Night=Vincent van Gogh|van Gogh;
The Night Watch=Rembrandt; Girl with a Pearl Earring=Johannes Vermeer|Vermeer; Guernica=Pablo Picasso|Picasso;
The Scream=Edvard Munch|Munch; The Kiss of 1908, with much gold=Gustav Klimt|Klimt;
The Birth of Venus=Sandro Botticelli|Botticelli; the ceiling of the Sistine Chapel=Michelangelo;
The School of Athens=Raphael; Las Meninas=Diego Velázquez|Velázquez|Velazquez;
The Garden of Earthly Delights=Hieronymus Bosch|Bosch; Liberty Leading the People=Eugène Delacroix|Delacroix;
The Hay Wain=John Constable|Constable; The Third of May 1808=Francisco Goya|Goya;
the Water Lilies at Giverny=Claude Monet|Monet; Wanderer above the Sea of Fog=Caspar David Friedrich|Friedrich;
The Persistence of Memory=Salvador Dalí|Dalí|Dali; The Great Wave off Kanagawa=Hokusai|Katsushika Hokusai;
The Fighting Temeraire=William Turner|Turner
""")

_MUSIC = facts_of("""
The Magic Flute=Wolfgang Amadeus Mozart|Mozart; the violin concertos The Four Seasons=Antonio Vivaldi|Vivaldi;
the oratorio Messiah=George Frideric Handel|Handel|Händel; the Brandenburg Concertos=Johann Sebastian Bach|Bach;
Fidelio=Ludwig van Beethoven|Beethoven; Carmen=Georges Bizet|Bizet; Aida=Giuseppe Verdi|Verdi;
Tosca=Giacomo Puccini|Puccini; Swan Lake=Pyotr Ilyich Tchaikovsky|Tchaikovsky;
The Ring of the Nibelung=Richard Wagner|Wagner; Boléro=Maurice Ravel|Ravel;
the opera The Barber of Seville=Gioachino Rossini|Rossini; the Peer Gynt suites=Edvard Grieg|Grieg;
the suite The Planets=Gustav Holst|Holst; The Rite of Spring=Igor Stravinsky|Stravinsky;
Dido and Aeneas=Henry Purcell|Purcell; Pictures at an Exhibition=Modest Mussorgsky|Mussorgsky;
the Trout Quintet=Franz Schubert|Schubert; the oratorio The Creation=Joseph Haydn|Haydn;
the symphony From the New World=Antonín Dvořák|Dvořák|Dvorak;
The Carnival of the Animals=Camille Saint-Saëns|Saint-Saëns|Saint-Saens; the Hungarian Rhapsodies=Franz Liszt|Liszt;
the Symphonie fantastique=Hector Berlioz|Berlioz; the waltz The Blue Danube=Johann Strauss|Strauss
""")

_YEARS = facts_of("""
the Battle of Hastings was fought=1066; Magna Carta was sealed=1215; Constantinople fell to the Ottomans=1453;
Columbus first reached the Americas=1492; Martin Luther published his ninety-five theses=1517;
the Spanish Armada sailed against England=1588; the Great Fire of London broke out=1666;
the Peace of Westphalia was made=1648; Newton's Principia first appeared=1687;
an earthquake destroyed much of Lisbon=1755; the United States declared their independence=1776;
the Bastille was stormed=1789; the Battle of Trafalgar was fought=1805; Napoleon lost the Battle of Waterloo=1815;
Darwin's On the Origin of Species was published=1859; the American Civil War began=1861;
the American Civil War ended=1865; the Suez Canal was opened=1869; the Eiffel Tower was completed=1889;
the first Olympic Games of modern times were held=1896; the Wright brothers made their first powered flight=1903;
Einstein published the special theory of relativity=1905; a great earthquake and fire destroyed San Francisco=1906;
Amundsen reached the South Pole=1911; the Titanic sank=1912; the First World War began=1914;
the First World War ended with an armistice=1918; the Panama Canal was opened=1914;
the October Revolution took place in Russia=1917; Lindbergh flew alone across the Atlantic=1927;
Fleming discovered penicillin=1928; the Second World War began in Europe=1939; the Second World War ended=1945;
India became independent=1947; the Universal Declaration of Human Rights was adopted=1948;
Everest was first climbed=1953; the double helix of DNA was described by Watson and Crick=1953;
Sputnik 1 was launched=1957; the Berlin Wall was built=1961; Gagarin flew into space=1961;
people first walked on the Moon=1969; the reactor at Chernobyl exploded=1986; the Berlin Wall fell=1989;
the two German states were united again=1990; the Soviet Union was dissolved=1991;
Nelson Mandela became president of South Africa=1994; euro notes and coins came into use=2002;
Pluto was discovered=1930; Pluto was reclassified as a dwarf planet=2006; Herschel discovered Uranus=1781;
the planet Neptune was first seen through a telescope as predicted=1846; the volcano Krakatoa blew itself apart=1883;
the Tunguska explosion flattened a Siberian forest=1908; the Meiji Restoration began in Japan=1868
""")

_SCIENCE = facts_of("""
discovered penicillin=Alexander Fleming|Fleming; discovered radium together with her husband=Marie Curie|Curie;
stated the law of universal gravitation=Isaac Newton|Newton;
drew up the periodic table of 1869=Dmitri Mendeleev|Mendeleev;
created the general theory of relativity=Albert Einstein|Einstein; invented dynamite=Alfred Nobel|Nobel;
introduced vaccination against smallpox=Edward Jenner|Jenner; discovered X-rays=Wilhelm Röntgen|Röntgen|Roentgen;
found that planets move on ellipses=Johannes Kepler|Kepler;
developed the first vaccine against rabies=Louis Pasteur|Pasteur;
wrote in 1543 that the Earth goes round the Sun=Nicolaus Copernicus|Copernicus;
found the laws of heredity with pea plants=Gregor Mendel|Mendel; wrote On the Origin of Species=Charles Darwin|Darwin;
discovered electromagnetic induction=Michael Faraday|Faraday;
stated the uncertainty principle=Werner Heisenberg|Heisenberg;
united electricity and magnetism in a set of equations=James Clerk Maxwell|Maxwell;
introduced the quantum of action in 1900=Max Planck|Planck;
proposed in 1912 that continents drift=Alfred Wegener|Wegener;
found the wave equation of quantum mechanics=Erwin Schrödinger|Schrödinger|Schrodinger;
discovered the four largest moons of Jupiter=Galileo Galilei|Galileo;
built the first electric battery=Alessandro Volta|Volta;
invented the mercury barometer=Evangelista Torricelli|Torricelli;
described the circulation of the blood in 1628=William Harvey;
discovered the bacterium that causes tuberculosis=Robert Koch|Koch;
invented the World Wide Web=Tim Berners-Lee|Berners-Lee;
gave plants and animals names of two Latin words=Carl Linnaeus|Linnaeus|Carl von Linné|Linné;
proved the incompleteness theorems=Kurt Gödel|Gödel|Godel;
brought printing with movable type to Europe=Johannes Gutenberg|Gutenberg
""")

_ROMAN_GODS = facts_of("""
Zeus=Jupiter|Jove; Hera=Juno; Poseidon=Neptune; Ares=Mars; Aphrodite=Venus; Hermes=Mercury; Artemis=Diana;
Athena=Minerva; Hephaestus|Hephaistos=Vulcan; Demeter=Ceres; Dionysus=Bacchus; Hestia=Vesta; Eros=Cupid;
Kronos|Cronus|Cronos=Saturn; Eos=Aurora; Selene=Luna; Nike=Victoria; Persephone=Proserpina|Proserpine;
Heracles|Herakles=Hercules; Odysseus=Ulysses
""")

_GODS = facts_of("""
god of the sea=Poseidon; goddess of love and beauty=Aphrodite; ruler of the underworld=Hades; god of wine=Dionysus;
goddess of the hunt=Artemis; goddess of the hearth=Hestia; goddess of the harvest=Demeter;
god of smiths=Hephaestus|Hephaistos; messenger of the gods, with winged sandals=Hermes;
king of the gods on Olympus=Zeus; goddess of wisdom=Athena; wife of Zeus=Hera; god of war=Ares;
goddess of victory=Nike
""")

CULTURE = (
    Relation(
        name="author",
        category="literature",
        facts=_BOOKS,
        questions=(
            "Who wrote {subject}?",
            "Who is the author of {subject}?",
            "Name the writer to whom we owe {subject}.",
            "Which writer is known for {subject}?",
        ),
    ),
    Relation(
        name="painter",
        category="arts",
        facts=_PAINTINGS,
        questions=(
            "Which artist made {subject}?",
            "Name the artist who created {subject}.",
            "Whose work is {subject}?",
        ),
    ),
    Relation(
        name="composer",
        category="arts",
        facts=_MUSIC,
        questions=(
            "Who composed {subject}?",
            "Name the composer of {subject}.",
            "Which composer wrote the music of {subject}?",
        ),
    ),
    Relation(
        name="year",
        category="history",
        facts=_YEARS,
        checker="number",
        questions=(
            "What was the year in which {subject}?",
            "Name the year in which {subject}.",
            "A timeline has the entry: {subject}. Which year stands beside it?",
        ),
    ),
    Relation(
        name="scientist",
        category="science",
        facts=_SCIENCE,
        questions=(
            "Who {subject}?",
            "Name the person who {subject}.",
            "Which famous figure of the history of science and technology {subject}?",
        ),
    ),
    Relation(
        name="roman_god",
        category="mythology",
        facts=_ROMAN_GODS,
        questions=(
            "What did the Romans call the figure whom the Greeks called {subject}?",
            "Give the Roman counterpart of the Greek {subject}.",
            "Under which name did {subject} of Greek myth appear in Rome?",
        ),
    ),
    Relation(
        name="greek_god",
        category="mythology",
        facts=reversed_facts(_ROMAN_GODS),
        questions=(
            "What did the Greeks call the figure whom the Romans called {subject}?",
            "Give the Greek counterpart of the Roman {subject}.",
            "Under which name did {subject} of Roman myth appear in Greece?",
        ),
    ),
    Relation(
        name="god",
        category="mythology",
        facts=_GODS,
        questions=(
            "In Greek myth, who was the {subject}?",
            "Name the {subject} of the ancient Greeks.",
            "Whom did the ancient Greeks see as the {subject}? Give the Greek name.",
        ),
    ),
)
