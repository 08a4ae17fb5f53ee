"""What Pocket knows nothing about, as noun phrases that a reply can name back."""

from __future__ import annotations

from specmemo_chat.train.dialogues.base import train_pool


def _split(text: str) -> list[str]:
    return [" ".join(item.split()) for item in text.replace("\n", " ").split(",") if item.strip()]


CONCEPTS = train_pool(
    _split(
        """photosynthesis, gravity, inflation, democracy, quantum physics, black holes, relativity, evolution, DNA, entropy, blockchain,
    bitcoin, climate change, the greenhouse effect, vaccines, antibiotics, the immune system, cancer, diabetes, the stock market, interest
    rates, taxes, insurance, mortgages, capitalism, communism, philosophy, stoicism, existentialism, buddhism, islam, christianity, yoga
    breathing, meditation, the big bang, dark matter, string theory, electricity, magnetism, lightning, earthquakes, volcanoes, tides,
    hurricanes, glaciers, plate tectonics, fossils, dinosaurs, mammoths, bacteria, viruses, mushrooms in the wild, tectonic plates, atoms,
    electrons, isotopes, acids, enzymes, proteins, hormones, neurons, psychology, economics, sociology, linguistics, grammar, the subjunctive,
    haiku, jazz harmony, baroque music, impressionism, cubism, gothic architecture, the renaissance, the enlightenment, feminism, nuclear
    power, solar panels, heat pumps, electric cars, diesel engines, rockets, satellites, GPS, wifi, bluetooth, 5G, machine learning, neural
    networks, transformers, docker, kubernetes, git, linux, recursion, pointers, sorting algorithms, databases, encryption, the internet,
    TCP, HTTP, cookies on websites, spam, phishing, tort law, contract law, copyright, patents, human rights, the constitution, elections,
    parliament, the senate, the United Nations, NATO, the European Union, Brexit, the cold war, slavery, apartheid, the silk road, feudalism,
    the periodic table, osmosis, mitosis, the water cycle, the nitrogen cycle, the solar system, Mars, Jupiter, Saturn's rings, the moon
    landing, the speed of light, the ozone layer, coral reefs, rainforests, deserts, migration of birds, whales' songs, bees' dances,
    chess openings, the offside rule, cricket rules, baseball statistics, marathons, tea ceremonies, sourdough, fermentation, wine regions,
    cheese making, gluten, vitamins, cholesterol, fasting, insomnia, migraines, allergies, asthma, arthritis, autism, depression in medicine,
    hypnosis, astrology, tarot, karma, ethics, utilitarianism, logic, calculus, algebra, trigonometry, statistics, prime numbers, pi, the
    golden ratio, fractals, game theory, chaos theory, thermodynamics, semiconductors, transistors, superconductors, lasers, X-rays"""
    )
)
PEOPLE = train_pool(
    _split(
        """Albert Einstein, Marie Curie, Isaac Newton, Napoleon, Julius Caesar, Cleopatra, Queen Victoria, Abraham Lincoln, George
    Washington, Barack Obama, Winston Churchill, Nelson Mandela, Mahatma Gandhi, Martin Luther King, Leonardo da Vinci, Michelangelo,
    Picasso, Van Gogh, Frida Kahlo, Mozart, Beethoven, Bach, Chopin, Elvis Presley, Madonna, Taylor Swift, Beyonce, Michael Jackson, David
    Bowie, Bob Dylan, Freddie Mercury, Shakespeare, Jane Austen, Charles Dickens, Goethe, Tolstoy, Kafka, Hemingway, Mark Twain, Agatha
    Christie, Homer, Plato, Aristotle, Socrates, Kant, Nietzsche, Confucius, Buddha, Charles Darwin, Galileo, Nikola Tesla, Thomas Edison,
    Steve Jobs, Bill Gates, Elon Musk, Mark Zuckerberg, Alan Turing, Ada Lovelace, Lionel Messi, Pele, Serena Williams, Roger Federer, Usain
    Bolt, Muhammad Ali, Michael Jordan, Marco Polo, Columbus, Vasco da Gama, Neil Armstrong, Yuri Gagarin, Angela Merkel, the Pope, the king
    of England, the president of France, the prime minister, the mayor of London, Harry Potter, Sherlock Holmes, Batman, Gandalf, Darth
    Vader, Zeus, Odin, Hercules, Joan of Arc, Genghis Khan, Tutankhamun, Archimedes, Pythagoras, Sigmund Freud, Rosa Parks"""
    )
)
TASKS = train_pool(
    _split(
        """cook risotto, bake bread, make lasagne, fry an egg, boil rice, brew coffee, make pancakes, roast a turkey, grill fish, pickle
    cucumbers, make jam, fix a flat tyre, change a light bulb, unclog a sink, repair a leaking tap, paint a wall, hang a picture, build a
    shed, lay tiles, sharpen a knife, start a fire, pitch a tent, tie a tie, tie a bow, iron a shirt, sew on a button, knit a scarf, remove
    a wine stain, clean an oven, wash wool, fold a fitted sheet, pack a suitcase, plant tomatoes, prune roses, mow a lawn, grow basil, keep
    bees, train a dog, wash a cat, ride a horse, milk a cow, play the guitar, play poker, learn chess, sing in tune, dance salsa, draw a
    face, paint with oils, write a novel, write a CV, write a cover letter, apply for a job, ask for a raise, quit my job, save money, file
    my taxes, open a bank account, buy a house, rent a flat, sell my car, invest in shares, start a company, get a visa, learn Spanish, learn
    to swim, run a marathon, lose weight, build muscle, sleep better, quit smoking, lower my blood pressure, cure a cold, treat a burn, stop a
    nosebleed, deliver a baby, make friends, impress a girl, get over a breakup, plan a wedding, raise a child, change a nappy, set up a
    router, install Windows, format a disk, delete my account, reset my password, hack a phone, edit a video, take good photos, fly a drone,
    drive a car, park backwards, sail a boat, land a plane, build a website, write an app, make a game, compile a kernel, set up a server,
    use a spreadsheet, make a pivot table, solve a Rubik's cube, juggle five balls, win the lottery, time travel, become famous, live longer"""
    )
)
THINGS = train_pool(
    _split(
        """the Eiffel Tower, the Great Wall, the pyramids, Big Ben, the Colosseum, Mount Everest, the Nile, the Amazon, the Sahara, the
    Titanic, the Mona Lisa, the Berlin Wall, the Statue of Liberty, Stonehenge, Machu Picchu, the Taj Mahal, the Louvre, the Kremlin, the
    White House, Niagara Falls, the Grand Canyon, the Alps, the Dead Sea, the Panama Canal, the Golden Gate Bridge, the Olympics, the World
    Cup, the Super Bowl, the Oscars, the Nobel Prize, the French Revolution, World War Two, the First World War, the Roman Empire, the Ottoman
    Empire, the Vikings, the Aztecs, the Incas, the Black Death, the plague, the Renaissance, the moon, the sun, Pluto, Venus, the Milky Way,
    the bible, the Koran, Hamlet, Faust, Don Quixote, Moby Dick, the Odyssey, Star Wars, the Lord of the Rings, Game of Thrones, Titanic the
    film, the Simpsons, Minecraft, Tetris, Google, Apple, Microsoft, Amazon the shop, Netflix, Toyota, Ferrari, Lego, the telephone, the light
    bulb, the steam engine, the wheel, paper, gunpowder, penicillin, the printing press, the bicycle, television, the euro, the pound"""
    )
)
PLACES_UNKNOWN = train_pool(
    _split(
        """Mongolia, Bolivia, Uruguay, Paraguay, Ecuador, Venezuela, Colombia, Panama, Honduras, Nepal, Bhutan, Laos, Cambodia, Malaysia,
    Indonesia, the Philippines, Vietnam, Pakistan, Iran, Iraq, Syria, Jordan, Israel, Lebanon, Yemen, Oman, Qatar, Ethiopia, Uganda, Rwanda,
    Tanzania, Zambia, Angola, Ghana, Senegal, Mali, Morocco, Tunisia, Libya, Sudan, Nigeria, Cameroon, Gabon, Botswana, Namibia, Madagascar,
    Estonia, Latvia, Lithuania, Belarus, Moldova, Bulgaria, Serbia, Croatia, Slovenia, Slovakia, Albania, Malta, Cyprus, Luxembourg, Monaco,
    Andorra, Georgia, Armenia, Kazakhstan, New Zealand, Fiji, Jamaica, Haiti, Texas, Bavaria, Quebec, Narnia, Atlantis, Mordor, Wakanda"""
    )
)
TOOLS = _split(
    """play some music, send an email, call my mum, set an alarm, set a timer for ten minutes, open the browser, search the web, order a pizza,
    book a flight, book a table, read my files, open my calendar, take a screenshot, turn on the lights, print this page, show me a picture,
    draw a picture of a cat, generate an image, play a video, translate this file, read this pdf, check my email, look at this photo, download
    a film, text my wife, remind me tomorrow at noon, start the washing machine, open Spotify, log me in, run this program, delete my files,
    google it, look it up online, call a taxi, buy tickets for me, check the traffic, transfer money, turn up the volume, close the window"""
)
WRITINGS = train_pool(
    _split(
        """an essay about freedom, a sonnet about love, a poem in French, a speech for my wedding, a cover letter, a business plan, a legal
    contract, a scientific paper, a novel, a screenplay, a rap song, song lyrics about summer, a press release, a blog post about travel, a
    product review, a letter to my landlord, a complaint to the bank, a ten page report, a thesis on climate change, a summary of War and
    Peace, a summary of this article, a haiku about autumn rain, a limerick, a eulogy, a marketing plan, a job advert, a resume, an obituary,
    a limerick about a pope, an analysis of Hamlet, a comparison of Kant and Hume, a biography of Bach, a history of Rome, an operating system,
    a compiler in C, a web server in Go, a React app, a snake game, a chess engine, a Java class for a bank, an SQL query with a join, a regex
    for emails, a bash script for backups, a Rust parser, a Dockerfile, HTML for a shop, CSS for a menu, a Kotlin app, a neural network in
    PyTorch, a Fortran program, a todo app, an Android app, a discord bot, a web scraper, unit tests for my project, a Makefile"""
    )
)
