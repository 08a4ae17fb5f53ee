"""What Pocket knows nothing about: subjects, tasks and clauses that a reply can repeat word for word."""

from __future__ import annotations

from tools.pocket.dialogues.base import train_pool


def items(text: str) -> list[str]:
    """The comma-separated items of `text`, without those that are kept for the evaluation."""
    return train_pool(part for part in (" ".join(piece.split()) for piece in text.split(",")) if part)


def pairs(text: str) -> list[tuple[str, str]]:
    """Comma-separated `left | right` items as pairs."""
    split = (item.split(" | ") for item in items(text))
    return [(left, right) for left, right in split]


CONCEPTS = items(
    """gravity, photosynthesis, evolution, entropy, inertia, friction, magnetism, electricity, radioactivity, osmosis,
    mitosis, meiosis, natural selection, genetics, DNA, RNA, chromosomes, proteins, enzymes, hormones, antibodies,
    bacteria, viruses, fungi, algae, plankton, stem cells, the immune system, the nervous system, the liver, the
    heart, the human brain, red blood cells, metabolism, insulin, adrenaline, vitamins, calories, cholesterol,
    allergies, asthma, diabetes, malaria, measles, dementia, anaemia, migraines, vaccines, antibiotics, anaesthesia,
    black holes, neutron stars, supernovas, dark matter, dark energy, the big bang, the solar system, comets,
    asteroids, meteorites, eclipses, the northern lights, Saturn's rings, the red planet, quasars, exoplanets,
    gravitational waves, red shift, quantum mechanics, quantum computing, relativity, string theory, the Higgs
    boson, quarks, photons, electrons, isotopes, nuclear fusion, nuclear fission, plasma, superconductors, lasers,
    X-rays, infrared light, sound waves, the Doppler effect, thermodynamics, fluid dynamics, aerodynamics, buoyancy,
    torque, voltage, semiconductors, transistors, batteries, fuel cells, solar panels, wind turbines, heat pumps,
    hydrogen, helium, carbon dioxide, ozone, methane, acids and bases, the periodic table, covalent bonds, polymers,
    catalysts, crystals, rust, combustion, distillation, alloys, plate tectonics, volcanoes, earthquakes, tsunamis,
    glaciers, erosion, fossils, limestone, the water cycle, the carbon cycle, the greenhouse effect, climate change,
    monsoons, tornadoes, lightning, tides, ocean currents, coral reefs, rainforests, deserts, wetlands,
    biodiversity, pollination, hibernation, camouflage, food chains, symbiosis, calculus, algebra, geometry,
    trigonometry, set theory, game theory, graph theory, number theory, probability, statistics, standard deviation,
    regression, correlation, matrices, vectors, logarithms, complex numbers, prime numbers, the golden ratio, pi,
    Fibonacci numbers, fractals, infinity, Pythagoras' theorem, Bayes' theorem, proof by induction, inflation,
    deflation, recessions, interest rates, supply and demand, monopolies, tariffs, free trade, the gold standard,
    central banks, hedge funds, index funds, bonds, dividends, mortgages, compound interest, income tax, value added
    tax, pensions, life insurance, bankruptcy, cryptocurrency, bitcoin, blockchain, capitalism, socialism,
    communism, anarchism, liberalism, fascism, democracy, monarchy, federalism, the separation of powers, human
    rights, the rule of law, the United Nations, NATO, the European Union, lobbying, gerrymandering, referendums,
    philosophy, ethics, stoicism, existentialism, nihilism, utilitarianism, empiricism, rationalism, dualism, free
    will, determinism, the trolley problem, the categorical imperative, Plato's cave, the social contract, Buddhism,
    Hinduism, Islam, Judaism, Christianity, Taoism, Sikhism, Zen, karma, reincarnation, Lent, Ramadan, Passover,
    Diwali, the Reformation, the Trinity, the Ten Commandments, psychology, the placebo effect, confirmation bias,
    cognitive dissonance, hypnosis, motivation, burnout, introversion, attachment theory, Freud's theories,
    linguistics, phonetics, syntax, semantics, grammar, the passive voice, the subjunctive, gerunds, adverbs,
    conjunctions, metaphors, irony, alliteration, iambic pentameter, haiku, sonnets, satire, tragedy, impressionism,
    cubism, surrealism, baroque art, Gothic architecture, Bauhaus, jazz harmony, counterpoint, the circle of fifths,
    sonata form, opera, ballet, hip hop, machine learning, neural networks, artificial intelligence, computer
    vision, big data, cloud computing, encryption, public keys, hashing, recursion, pointers, garbage collection,
    compilers, operating systems, databases, binary search, sorting algorithms, hash maps, linked lists, object
    orientation, functional programming, version control, Docker, Kubernetes, Linux, the internet, DNS, TCP, HTTP,
    cookies, firewalls, phishing, malware, Bluetooth, wifi, 5G, GPS, radar, sonar, 3D printing, robotics,
    self-driving cars, drones, jet engines, diesel engines, hybrid cars, hydraulics, concrete, welding, carpentry,
    crop rotation, composting, beekeeping, irrigation, permaculture, aquaculture, feudalism, slavery, apartheid,
    imperialism, nationalism, feminism, the Enlightenment, the Industrial Revolution, the Silk Road, the Bronze Age,
    hieroglyphs, cuneiform, Greek mythology, Norse mythology, astrology, tarot, alchemy, feng shui, origami folding,
    chess openings, the offside rule, cricket scoring, the tie-break, marathon training, interval training,
    intermittent fasting, the keto diet, gluten, fermentation, sourdough, umami, wine tasting, cheese making, tea
    ceremonies"""
)
PEOPLE = items(
    """Albert Einstein, Marie Curie, Isaac Newton, Galileo Galilei, Charles Darwin, Stephen Hawking, Richard Feynman,
    Niels Bohr, Max Planck, Erwin Schrodinger, Michael Faraday, Louis Pasteur, Gregor Mendel, Carl Linnaeus,
    Rosalind Franklin, Alan Turing, Ada Lovelace, Grace Hopper, Nikola Tesla, Thomas Edison, Alexander Graham Bell,
    the Wright brothers, Henry Ford, Steve Jobs, Bill Gates, Elon Musk, Jeff Bezos, Mark Zuckerberg, Linus Torvalds,
    Tim Cook, Napoleon, Julius Caesar, Augustus, Nero, Cleopatra, Alexander the Great, Hannibal, Attila,
    Charlemagne, Genghis Khan, William the Conqueror, Joan of Arc, Henry the Eighth, Elizabeth the First, Queen
    Victoria, Louis the Fourteenth, Marie Antoinette, Robespierre, Catherine the Great, Peter the Great, Otto von
    Bismarck, Lenin, Stalin, Hitler, Mussolini, Franco, Mao Zedong, Winston Churchill, Charles de Gaulle, Margaret
    Thatcher, Tony Blair, Boris Johnson, Angela Merkel, Emmanuel Macron, Vladimir Putin, Abraham Lincoln, George
    Washington, Thomas Jefferson, John F Kennedy, Richard Nixon, Ronald Reagan, Barack Obama, Donald Trump, Joe
    Biden, Nelson Mandela, Mahatma Gandhi, Martin Luther King, Malcolm X, Rosa Parks, Che Guevara, Fidel Castro,
    Simon Bolivar, Mother Teresa, the Dalai Lama, the Pope, King Charles, Princess Diana, Leonardo da Vinci,
    Michelangelo, Raphael, Rembrandt, Vermeer, Claude Monet, Vincent van Gogh, Pablo Picasso, Salvador Dali, Frida
    Kahlo, Andy Warhol, Banksy, Mozart, Beethoven, Bach, Vivaldi, Handel, Chopin, Wagner, Verdi, Tchaikovsky,
    Stravinsky, Louis Armstrong, Miles Davis, Elvis Presley, the Beatles, John Lennon, Paul McCartney, the Rolling
    Stones, David Bowie, Freddie Mercury, Michael Jackson, Madonna, Prince, Bob Marley, Bob Dylan, Jimi Hendrix,
    Kurt Cobain, Eminem, Beyonce, Rihanna, Taylor Swift, Ed Sheeran, Adele, Lady Gaga, Billie Eilish, William
    Shakespeare, Jane Austen, Charles Dickens, Oscar Wilde, Virginia Woolf, James Joyce, George Orwell, Agatha
    Christie, J K Rowling, Stephen King, Mark Twain, Ernest Hemingway, Edgar Allan Poe, Emily Dickinson, Walt
    Whitman, Leo Tolstoy, Dostoevsky, Chekhov, Kafka, Goethe, Schiller, Thomas Mann, Victor Hugo, Moliere, Marcel
    Proust, Cervantes, Dante, Homer, Virgil, Ovid, Sappho, Plato, Aristotle, Socrates, Epicurus, Seneca, Marcus
    Aurelius, Confucius, Lao Tzu, Rene Descartes, Spinoza, John Locke, David Hume, Immanuel Kant, Hegel, Karl Marx,
    Nietzsche, Schopenhauer, Wittgenstein, Simone de Beauvoir, Sigmund Freud, Carl Jung, Pele, Maradona, Lionel
    Messi, Cristiano Ronaldo, David Beckham, Zinedine Zidane, Roger Federer, Rafael Nadal, Serena Williams, Usain
    Bolt, Michael Phelps, Muhammad Ali, Mike Tyson, Michael Jordan, LeBron James, Tiger Woods, Lewis Hamilton,
    Michael Schumacher, Simone Biles, Magnus Carlsen, Garry Kasparov, Charlie Chaplin, Marilyn Monroe, Alfred
    Hitchcock, Stanley Kubrick, Steven Spielberg, Quentin Tarantino, Tom Hanks, Meryl Streep, Brad Pitt, Tom Cruise,
    Emma Watson, Leonardo DiCaprio, Marco Polo, Christopher Columbus, Vasco da Gama, Magellan, Captain Cook, Roald
    Amundsen, Neil Armstrong, Yuri Gagarin, Amelia Earhart, Moses, Jesus, Muhammad, Buddha, Zeus, Apollo, Athena,
    Thor, Odin, Anubis, King Arthur, Robin Hood, Sherlock Holmes, Dracula, Harry Potter, Frodo, Gandalf, Darth
    Vader, Batman, Superman, Spider-Man, James Bond, Indiana Jones, Homer Simpson, Mickey Mouse, Asterix, Tintin,
    Pippi Longstocking"""
)
LANDMARKS = items(
    """the Eiffel Tower, the Leaning Tower of Pisa, Big Ben, the Colosseum, the Parthenon, the Great Wall of China, the
    Taj Mahal, Machu Picchu, Stonehenge, the Statue of Liberty, the Empire State Building, the Burj Khalifa, the
    Golden Gate Bridge, the Brooklyn Bridge, Tower Bridge, the Channel Tunnel, the Panama Canal, the Suez Canal, the
    Hoover Dam, the Great Pyramid, the Sphinx, the Louvre, the Vatican, the Kremlin, the White House, Buckingham
    Palace, Versailles, Neuschwanstein, the Alhambra, Angkor Wat, Petra, Pompeii, Troy, Mount Everest, Mont Blanc,
    the Matterhorn, Kilimanjaro, Mount Fuji, Etna, Vesuvius, K2, the Alps, the Andes, the Himalayas, the Rocky
    Mountains, the Nile, the Amazon, the Danube, the Rhine, the Thames, the Mississippi, the Ganges, the Volga, Lake
    Baikal, Lake Geneva, Loch Ness, the Dead Sea, the Black Sea, the Baltic, the Pacific Ocean, the Atlantic, the
    Sahara, the Gobi desert, the Grand Canyon, Niagara Falls, Victoria Falls, the Great Barrier Reef, Antarctica,
    Greenland, Iceland's volcanoes, Hawaii, Tahiti, Easter Island, Mars, Venus, Jupiter, Saturn, Neptune, Pluto,
    Mercury, the Moon, Halley's comet, Sirius, the Milky Way, Andromeda, the space station, the Hubble telescope,
    the Titanic, the Concorde, the Orient Express, Notre-Dame, Cologne cathedral, Westminster Abbey, Red Square,
    Times Square, Central Park, Wembley, the Sydney Opera House, Uluru, Table Mountain, Christ the Redeemer,
    Yellowstone"""
)
EVENTS = items(
    """the First World War, World War Two, the Cold War, the Vietnam War, the Korean War, the Hundred Years War, the
    American Civil War, the Spanish Civil War, the Crimean War, the Boer War, the Gulf War, the Crusades, the French
    Revolution, the Russian Revolution, the American Revolution, the October Revolution, the Glorious Revolution,
    the Boston Tea Party, the Norman Conquest, the Battle of Hastings, the Battle of Waterloo, the Battle of
    Trafalgar, the Battle of Stalingrad, D-Day, Pearl Harbor, the Blitz, the Holocaust, the fall of the Berlin Wall,
    the fall of Rome, the sack of Constantinople, the Black Death, the Spanish flu, the Great Fire of London, the
    Great Depression, the Wall Street crash, the Irish famine, the Gold Rush, the moon landing, the sinking of the
    Titanic, the Chernobyl disaster, the Cuban missile crisis, the Watergate scandal, the Suez crisis, the oil
    crisis, the dot-com bubble, the Arab Spring, Brexit, the Treaty of Versailles, the Congress of Vienna, the Peace
    of Westphalia, Magna Carta, the Renaissance, the Victorian era, the Middle Ages, the Stone Age, the Ice Age, the
    Roman Empire, the Ottoman Empire, the Byzantine Empire, the Mongol Empire, the Ming dynasty, the Aztecs, the
    Incas, the Maya, the Vikings, the Celts, the Phoenicians, the Spanish Inquisition, the Gunpowder Plot, the
    Peasants' Revolt, the Boxer Rebellion, the Meiji Restoration, the Partition of India, the Salt March, the Prague
    Spring, Woodstock, the Dreyfus affair, the Opium Wars, the slave trade, the Dust Bowl, Prohibition, the Space
    Race, the Manhattan Project"""
)
WORKS = items(
    """Hamlet, Macbeth, Romeo and Juliet, King Lear, Othello, Faust, Don Quixote, Moby Dick, War and Peace, Anna
    Karenina, Crime and Punishment, The Trial, Ulysses, Pride and Prejudice, Emma the novel, Jane Eyre, Wuthering
    Heights, Great Expectations, Oliver Twist, Frankenstein, Treasure Island, Robinson Crusoe, Gulliver's Travels,
    Animal Farm, Brave New World, Lord of the Flies, The Great Gatsby, To Kill a Mockingbird, The Catcher in the
    Rye, On the Road, Beloved, The Odyssey, The Iliad, The Divine Comedy, Candide, Les Miserables, The Little
    Prince, The Hobbit, The Lord of the Rings, Dune, Foundation, Neuromancer, Game of Thrones, Twilight, The Hunger
    Games, The Da Vinci Code, The Name of the Rose, The Alchemist, Sapiens, the Bible, the Koran, Beowulf,
    Casablanca, Citizen Kane, The Godfather, Jaws, Alien, Star Wars, Blade Runner, The Matrix, Inception,
    Interstellar, Titanic the film, Avatar, Gladiator, Pulp Fiction, Fight Club, Psycho, Vertigo, The Shining,
    Amelie, Parasite, Spirited Away, Toy Story, Frozen, The Lion King, Shrek, Up, Breaking Bad, Friends the series,
    The Office, Doctor Who, Star Trek, The Simpsons, South Park, Succession, Sherlock the series, The Magic Flute,
    Carmen, Tosca, Swan Lake, The Nutcracker, the Moonlight Sonata, Bohemian Rhapsody, Yesterday, Imagine, Thriller,
    Purple Rain, Hotel California, Stairway to Heaven, the Mona Lisa, Guernica, The Scream, The Starry Night, The
    Last Supper, The Night Watch, Minecraft, Tetris, Pac-Man, Zelda, Super Mario, Fortnite, Elden Ring, The Sims,
    Doom, Portal, Monopoly, Catan"""
)
GOODS = items(
    """gold, silver, copper, oil, petrol, diesel, wheat, rice, coffee beans, milk, butter, eggs, bread, a loaf of
    bread, a pint of beer, a cinema ticket, a train ticket to Paris, a flight to Japan, a new car, a used car, a
    Tesla, a Ferrari, a bicycle, an e-bike, a house in London, a flat in Berlin, a garage, a swimming pool, a
    wedding dress, a diamond ring, an iPhone, a laptop, a graphics card, a PlayStation, a television, a washing
    machine, a fridge, a sofa, a mattress, a piano, a violin, a horse, a puppy, a parrot, a haircut, a tattoo, a
    dentist, a lawyer, a plumber, a passport, a driving licence, a stamp, a bus pass, a hotel room, a cruise, a gym
    membership, a Netflix subscription, a share of Apple, a bitcoin, an ounce of gold, a barrel of oil, a kilo of
    potatoes, firewood, a new roof, a solar panel, a heat pump, a boat, a helicopter, a private jet, a rocket
    launch, a Picasso, a funeral, a divorce, a university degree"""
)
COUNTRIES = items(
    """Mongolia, Bolivia, Uruguay, Paraguay, Ecuador, Venezuela, Colombia, Panama, Honduras, Guatemala, Nicaragua, El
    Salvador, Belize, Jamaica, Haiti, Barbados, Trinidad, the Bahamas, Nepal, Bhutan, Bangladesh, Sri Lanka,
    Myanmar, Laos, Cambodia, Vietnam, Malaysia, Singapore, Indonesia, the Philippines, Taiwan, North Korea,
    Pakistan, Afghanistan, Iran, Iraq, Syria, Jordan, Israel, Lebanon, Yemen, Oman, Qatar, Kuwait, Bahrain, Saudi
    Arabia, Ethiopia, Eritrea, Somalia, Djibouti, Uganda, Rwanda, Burundi, Tanzania, Malawi, Zambia, Zimbabwe,
    Mozambique, Angola, Congo, Gabon, Cameroon, Chad, Niger, Nigeria, Benin, Togo, Ghana, Ivory Coast, Liberia,
    Sierra Leone, Guinea, Senegal, Gambia, Mali, Mauritania, Morocco, Algeria, Tunisia, Libya, Sudan, South Sudan,
    Botswana, Namibia, Lesotho, South Africa, Madagascar, Mauritius, the Seychelles, Estonia, Latvia, Lithuania,
    Belarus, Moldova, Bulgaria, Serbia, Croatia, Slovenia, Slovakia, the Czech Republic, Bosnia, Montenegro, Kosovo,
    North Macedonia, Albania, Malta, Cyprus, Luxembourg, Monaco, Andorra, Liechtenstein, San Marino, Georgia,
    Armenia, Azerbaijan, Kazakhstan, Uzbekistan, Turkmenistan, Tajikistan, Kyrgyzstan, New Zealand, Papua New
    Guinea, Fiji, Samoa, Tonga, Wales, Northern Ireland, Greenland, Texas, Ohio, Alaska, Florida, Nevada, Bavaria,
    Saxony, Sicily, Tuscany, Catalonia, Quebec, Ontario, Queensland, Punjab, Kerala, Hokkaido, Siberia, Tibet,
    Narnia, Atlantis, Mordor, Wakanda, Westeros, Ruritania, Lilliput, Gondor, Elbonia, the moon, Mars, the European
    Union, Africa, Asia, Antarctica"""
)
TASKS = items(
    """cook risotto, bake sourdough, make lasagne, fry an egg, poach eggs, boil rice, brew coffee, make pancakes, roast
    a chicken, grill salmon, steam dumplings, pickle cucumbers, make jam, make cheese, make mayonnaise, whip cream,
    peel garlic, chop onions, cut a mango, open a coconut, cook lobster, make ramen, roll sushi, bake a birthday
    cake, make ice cream, smoke a ham, freeze soup, cook for ten people, fix a flat tyre, fix a leaking tap, fix the
    boiler, fix a broken chair, change a light bulb, change the oil in my car, jump start a car, unclog a sink,
    unblock a toilet, bleed a radiator, paint a wall, plaster a ceiling, hang a picture, put up shelves, lay tiles,
    lay a floor, build a shed, build a treehouse, build a bookcase, build a fence, insulate an attic, sharpen a
    knife, solder a wire, weld steel, start a fire, pitch a tent, read a compass, tie a tie, tie a bow tie, tie a
    bowline, iron a shirt, sew on a button, knit a scarf, crochet a hat, hem trousers, remove a wine stain, remove a
    coffee stain from a carpet, get rid of rust, get rid of mould, get rid of ants, get rid of wasps, clean an oven,
    clean windows, clean a keyboard, descale a kettle, wash wool, fold a fitted sheet, polish silver, pack a
    suitcase, tidy my room, plant tomatoes, prune roses, mow a lawn, grow basil, repot an orchid, make compost, keep
    bees, keep chickens, train a puppy, bathe a cat, cut a dog's nails, teach a parrot to talk, ride a horse, shear
    a sheep, milk a cow, play the guitar, play the piano, play the drums, play poker, play bridge, play chess well,
    sing in tune, read sheet music, write a song, dance salsa, dance the waltz, draw a face, draw a horse, paint
    with watercolours, carve wood, throw a pot, take good photos, edit a video, write a novel, write a CV, write a
    business plan, write a will, publish a book, apply for a job, prepare for an interview, ask for a raise, quit my
    job, start a company, register a trademark, manage a team, run a meeting, give a speech, save money, file my
    taxes, read a balance sheet, open a bank account, get a loan, buy a house, rent a flat, sell my car, buy shares,
    invest in gold, trade options, mine bitcoin, get a visa, renew my passport, get married abroad, adopt a child,
    get divorced, learn Spanish, learn Japanese, learn to swim, learn to code, learn maths, learn the alphabet
    backwards, memorise a poem, speed read, pass my driving test, parallel park, drive in snow, ride a motorbike,
    sail a boat, row a canoe, fly a drone, land a plane, run a marathon, do a handstand, do a backflip, do push-ups,
    lift weights, lose weight, gain muscle, stretch my back, stop snoring, sleep better, stop smoking, stop biting
    my nails, cure a cold, treat a burn, stop a nosebleed, remove a splinter, remove a tick, lower my blood
    pressure, get over a cold, get rid of hiccups, make friends, talk to girls, impress my boss, get over a breakup,
    plan a wedding, write vows, raise twins, change a nappy, calm a baby, teach a child to read, set up a router,
    set up a printer, install Linux, install Windows, reset my phone, back up my photos, recover a deleted file,
    speed up my laptop, build a PC, overclock a CPU, delete my Facebook account, block spam, build a website, host a
    website, write an app, make a video game, train a neural network, deploy a container, merge branches in git, use
    Excel, make a pivot table, use Photoshop, use a 3D printer, program a robot, solve a Rubik's cube, juggle, do a
    card trick, fold a paper plane, make a kite, make candles, make soap, make paper, win at blackjack, win the
    lottery, become a pilot, become a doctor, become famous, get rich, live to a hundred, travel back in time,
    survive in the desert, find water in the wild, calculate a mortgage, convert a PDF, read Egyptian hieroglyphs,
    make a bow and arrow, catch a trout, tie a fly, wax a surfboard, tune a violin"""
)
PLURALS = items(
    """dogs, cats, cows, horses, sheep, pigs, ducks, hens, goats, lions, bears, wolves, frogs, owls, geese, donkeys,
    bees, mice, birds, fish, whales, sharks, dolphins, penguins, elephants, giraffes, zebras, tigers, monkeys,
    gorillas, kangaroos, koalas, pandas, rabbits, hamsters, hedgehogs, squirrels, foxes, badgers, deer, camels,
    snakes, lizards, crocodiles, turtles, toads, salmon, eels, crabs, lobsters, octopuses, jellyfish, snails, worms,
    spiders, ants, wasps, flies, mosquitoes, butterflies, moths, beetles, crickets, bats, eagles, hawks, swallows,
    storks, swans, pigeons, parrots, peacocks, ostriches, chickens, turkeys, dinosaurs, mammoths, dragons, people,
    babies, children, teenagers, men, women, old people, doctors, pilots, sailors, soldiers, monks, kings, vampires,
    ghosts, plants, trees, flowers, mushrooms, seeds, cells, germs, clouds, stars, planets, comets, volcanoes,
    rivers, glaciers, magnets, batteries, engines, planes, rockets, submarines, ships, trains, bicycles, computers,
    phones, robots, printers, cameras, clocks, fridges, banks, languages, markets, vaccines, pills, muscles, teeth,
    eyes, ears, lungs, kidneys, bones"""
)
DO_VERBS = items(
    """sleep, eat, drink, breathe, see, hear, smell, talk, sing, grow, move, swim, fly, run, jump, fight, hide, hunt,
    mate, migrate, breed, dream, yawn, sneeze, cry, laugh, die, age, live so long, get sick, change colour, make
    noise, sleep so much, need water, need salt, need light, need oxygen, work, break, start, stop, fall, float,
    sink, burn, freeze, melt, rust, explode, glow, spin, shine, turn round, come back, disappear, matter, cost so
    much, taste bitter, smell bad, like music, hate water, fear fire, hold hands, stay warm, keep cool, find food,
    find their way, build nests, store energy, lay eggs, lose hair, attack humans, travel in groups, learn, remember
    faces, communicate, reproduce, bark, purr, hibernate, shed their skin"""
)
# Why is LEFT RIGHT? The reply turns it round: why LEFT is RIGHT.
WHY_IS = pairs(
    """the sky | blue at noon, the sky | dark at night, the sea | salty, ice | slippery, water | wet, glass |
    transparent, gold | so valuable, the earth | round, the moon | full sometimes, the sun | so hot, space | cold,
    Mars | red, Pluto | not a planet, winter | cold, summer | warm, the desert | dry, the night | dark, snow | cold,
    fire | hot, lava | red, thunder | so loud, rain | good for plants, honey | good forever, chocolate | bad for
    dogs, garlic | healthy, sugar | bad for teeth, salt | used in winter, coffee | addictive, tea | calming, milk |
    healthy, bread | soft, cheese | yellow, wine | red, beer | foamy, spicy food | popular, yawning | contagious,
    laughter | healthy, music | emotional, maths | difficult, English | so irregular, history | important, sleep |
    necessary, exercise | good for us, smoking | harmful, stress | bad, the alphabet | in that order, the week |
    seven days long, February | so short, Friday the 13th | unlucky, the piano | called that, football | so popular,
    cricket | so long, chess | hard, London | so expensive, Venice | sinking, Berlin | so cool, Greenland | called
    green, Iceland | full of volcanoes, the Dead Sea | so salty, petrol | so expensive, housing | expensive, gold |
    yellow, silver | cheaper than gold, the internet | slow, my laptop | so slow, my phone | hot, my wifi | down, my
    cat | so fat, my dog | limping, my baby | crying, my car | making a noise, my bread | flat, my hair | falling
    out, my back | sore in the morning, the plane | late, the shop | closed on Sunday, the government | in debt, the
    dollar | strong, the earth's core | hot"""
)
# Who WORD WORDS? The reply repeats it as it stands.
WHO_DID = items(
    """invented the telephone, invented the light bulb, invented the wheel, invented the bicycle, invented the
    internet, invented paper, invented the zip, invented chess, invented basketball, invented jeans, invented pizza,
    discovered America, discovered penicillin, discovered oxygen, discovered gravity, discovered Neptune, discovered
    DNA, discovered radium, wrote Hamlet, wrote the Odyssey, wrote War and Peace, wrote Dracula, wrote the national
    anthem, composed the Four Seasons, composed Carmen, painted the Mona Lisa, painted Guernica, painted the Sistine
    Chapel, built the pyramids, built Stonehenge, built the Taj Mahal, designed the Eiffel Tower, founded Apple,
    founded Google, founded Rome, founded Amazon, runs Microsoft, owns Twitter, owns Instagram, killed Caesar,
    killed Kennedy, shot Lincoln, won the war, won the last election, won the World Cup, won the Super Bowl, won the
    Tour de France, won Wimbledon, won an Oscar last year, won the Nobel Prize for peace, won the match yesterday,
    won the race on Sunday, scored the most goals ever, broke the Berlin Wall, signed the treaty, started the First
    World War, lost at Waterloo, conquered Mexico, crossed the Alps with elephants, sailed round the world first,
    climbed Everest first, walked on the moon first, flew across the Atlantic first, reached the South Pole first,
    sang Thriller, sang Hallelujah, plays Batman, plays the new James Bond, played Frodo, directed Jaws, directed
    Parasite, voices Homer Simpson, lives in Rome, lives in the White House, lives at the North Pole, rules Monaco,
    leads the opposition, governs California, makes the best pizza, makes these laws, pays for roads, created Linux,
    created Python, created Minecraft, stole the crown jewels, named the days of the week, named the planets, wears
    a kilt, speaks Basque, first milked a cow, decides about wars, teaches at Hogwarts"""
)
# When was LEFT RIGHT? The reply turns it round: when LEFT was RIGHT.
WHEN_WAS = pairs(
    """Paris | founded, Rome | founded, London | founded, New York | founded, Berlin | divided, Moscow | burnt, Venice
    | built, the Eiffel Tower | built, the Berlin Wall | built, the Great Wall | built, the Colosseum | built, Big
    Ben | built, the Panama Canal | opened, the Suez Canal | opened, the Golden Gate Bridge | opened, Disneyland |
    opened, the telephone | invented, the radio | invented, television | invented, the wheel | invented, the
    printing press | invented, gunpowder | invented, chocolate | invented, pizza | invented, football | invented,
    the internet | invented, Python | released, Windows | released, the first iPhone | released, Star Wars |
    released, Hamlet | written, the Bible | written, the Odyssey | written, Carmen | composed, the Mona Lisa |
    painted, America | discovered, Australia | discovered, Pluto | discovered, penicillin | discovered, X-rays |
    discovered, Mozart | born, Einstein | born, Shakespeare | born, Elvis | born, Caesar | killed, Kennedy | shot,
    Lincoln | elected, Obama | elected, slavery | abolished, the euro | introduced, Google | founded, Apple |
    founded, NATO | founded, the UN | founded, the Red Cross | founded, Microsoft | founded, Everest | first
    climbed, the moon | first reached, Troy | destroyed, Pompeii | buried, Constantinople | conquered, Carthage |
    destroyed, India | divided, Germany | united"""
)
HOW_MANY = items(
    """people live in China, people live on earth, people live in Tokyo, people speak Spanish, people died in the war,
    people work at Google, people fit into Wembley, people own a car, people were on the Titanic, people believe in
    ghosts, people have two passports, stars are in the sky, planets are there, countries are in Africa, countries
    are there, states are in America, languages are there, islands are in Greece, bones are in the body, hairs are
    on a head, species of birds are there, trees are in the world, calories are in a banana, calories are in a
    pizza, grams of sugar are in cola, books are in the Bible, players are in a rugby team, pieces are on a
    chessboard, muscles are in the hand, elements are known, atoms are in a drop, presidents were shot, rooms are in
    Buckingham Palace, steps are in the Eiffel Tower, bridges are in Venice, pubs are in London, sheep are in New
    Zealand, bees are in a hive, ants are in a colony, cars are sold each year, satellites are in space, emails are
    sent each day, grains of sand are on a beach, ships cross the Suez Canal, words are in the English language,
    letters are in the Greek alphabet, ounces are in a pound, pounds are in a stone, feet are in a mile, pints are
    in a gallon, yards are in a mile, cups are in a litre, acres are in a hectare, kilometres are in a mile, grams
    are in an ounce, teaspoons are in a cup, volts are in a battery, watts are in a horsepower, square metres are in
    an acre, pixels are on a screen"""
)
# How many LEFT does RIGHT have? The reply turns it round: how many LEFT RIGHT has.
HOW_MANY_HAS = pairs(
    """moons | Jupiter, moons | Mars, rings | Saturn, teeth | a shark, teeth | an adult, stomachs | a cow, eyes | a
    spider, legs | a spider, legs | an ant, legs | a crab, legs | a centipede, legs | a lobster, legs | an octopus,
    hearts | an octopus, wings | a butterfly, humps | a camel, bones | a giraffe, lives | a cat, spots | a ladybird,
    keys | a piano, strings | a harp, strings | a violin, pages | the Koran, chapters | Don Quixote, episodes |
    Friends, goals | Messi, medals | Phelps, Oscars | Meryl Streep, children | Elon Musk, wives | the king, people |
    Peru, cities | China, lakes | Finland, states | Brazil, provinces | Canada, islands | Japan, volcanoes |
    Iceland, nuclear weapons | Russia, users | Facebook, shops | IKEA, employees | Amazon, players | a cricket team,
    rounds | a boxing match, holes | a golf course, squares | a chessboard, cards | a poker hand, seats | a jumbo
    jet, engines | a Concorde, doors | a Beetle, gears | a Ferrari"""
)
WHAT_IFS = items(
    """the moon disappeared, the sun went out, the earth stopped turning, gravity stopped, all the ice melted, all bees
    died, dinosaurs came back, it rained for a year, nobody slept, nobody had money, everyone were rich, everyone
    told the truth, everyone lived forever, animals could talk, dogs ruled the world, cats could drive, robots took
    all jobs, computers could feel, the internet broke, all phones stopped working, there were no oil, there were no
    borders, there were two suns, people could fly, people could read minds, time ran backwards, we met aliens, a
    comet hit us, a volcano erupted in Berlin, Rome had never fallen, Napoleon had won, Germany had won the war, the
    Titanic had not sunk, I fell into a black hole, I travelled at the speed of light, I ate only apples, I stopped
    drinking water, I slept all year, I jumped from a moving train, I dug through the earth, I had a million
    dollars, I were invisible, I woke up as a bird, I shrank to the size of an ant, we lived on Mars, we lived under
    water, water were solid, fire were cold, shops were free, schools closed forever"""
)
ANIMALS_BEYOND = items(
    """zebra, giraffe, elephant, tiger, leopard, cheetah, hyena, rhino, hippo, kangaroo, koala, wombat, panda, monkey,
    gorilla, chimpanzee, camel, llama, deer, moose, bison, fox, badger, otter, beaver, squirrel, hedgehog, rabbit,
    hare, hamster, rat, bat, seal, walrus, whale, dolphin, shark, salmon, eel, octopus, jellyfish, crab, lobster,
    snail, spider, scorpion, ant, wasp, butterfly, moth, beetle, cricket, eagle, hawk, falcon, swan, stork, pigeon,
    parrot, peacock, ostrich, penguin, turkey, snake, lizard, crocodile, tortoise, toad, newt"""
)
COLOURLESS = items(
    """a zebra, a giraffe, a panda, a peacock, a chameleon, a kangaroo, a penguin, a polar bear, a tiger, a crocodile,
    a goldfish, a lobster, an octopus, a ladybird, a wasp, an eagle, a robin, a parrot, a brick, a plum, an
    aubergine, a peach, a mango, an avocado, a walnut, an olive, a radish, mustard, ketchup, honey, butter, beer,
    rust, copper, silver, gold, amber, jade, ivory, a sapphire, a topaz, an opal, a pearl, a London bus, a New York
    taxi, a school bus, a postbox, a stop sign, the moon, Mars, Neptune, the Dead Sea, the desert, the night, lava,
    smoke, a rainbow, a mirror, jealousy, love, my car, my shirt, the flag of Peru, the White House, tennis balls"""
)
LANGUAGES = items(
    """French, Spanish, German, Italian, Portuguese, Dutch, Polish, Russian, Ukrainian, Czech, Slovak, Hungarian,
    Romanian, Bulgarian, Greek, Turkish, Arabic, Hebrew, Persian, Hindi, Urdu, Bengali, Tamil, Thai, Vietnamese,
    Chinese, Mandarin, Cantonese, Japanese, Korean, Indonesian, Malay, Swahili, Zulu, Yoruba, Swedish, Norwegian,
    Danish, Finnish, Icelandic, Estonian, Latvian, Lithuanian, Irish, Welsh, Basque, Catalan, Latin, Sanskrit,
    Esperanto, Klingon, Elvish, sign language, Morse code, pig Latin"""
)
PHRASES = items(
    """hello, goodbye, good morning, good night, thank you, please, sorry, yes, no, I love you, how are you, my name is
    Tom, where is the station, one beer please, the bill please, happy birthday, merry Christmas, cheese, bread,
    water, house, dog, cat, red, blue, friend, mother, brother, butterfly, train, tomorrow, winter, I am lost, I am
    hungry, help, good luck, welcome, see you soon, I miss you, the weather is nice, how much is it, I don't speak
    it, a table for two, excuse me, peace, freedom, grandmother, strawberry, airport"""
)
