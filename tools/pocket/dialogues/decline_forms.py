"""How people ask for what is out of Pocket's reach, and how Pocket says so."""

from __future__ import annotations

from tools.pocket.dialogues.base import train_pool


def bars(text: str) -> tuple[str, ...]:
    """The items of `text` between vertical bars."""
    return tuple(part for part in (" ".join(piece.split()) for piece in text.split("|")) if part)


OPENERS = bars(
    """Hey, | Hi, | Hello! | Pocket, | OK, | So, | Well, | Hm, | Quick question: | One question: | Just curious: |
    Random question: | Tell me, | Next question: | Question for you: | Another thing: | By the way, | Serious
    question: | For school: | For my homework: | For a quiz: | For a friend: | My son wants to know: | My daughter
    asks: | My teacher asks: | My boss asks: | My wife wonders: | We are arguing here: | I have a question. | I have
    a quick one. | I need some help. | I need your help. | Can I ask you something? | I was wondering, | I've always
    wondered, | Maybe you know this: | Let me test you: | Here's a hard one: | I bet you know this: | Sorry to
    bother you. | Good morning! | Good evening. | Not sure you know, but | Help me out here: | I'm stuck. | This is
    urgent: | Listen, | Now, | Let's try this: | Dear Pocket,"""
)
TAILS = bars(
    """Thanks. | Thank you! | Please. | Keep it short. | Be brief. | In two sentences, please. | In simple words. | In
    detail, please. | I need it for school. | It's for work. | It's for a quiz. | I have no idea. | I forgot. | Any
    idea? | Do you know? | I'm curious. | I really want to know. | My friend asked me. | Explain it to me like a
    child. | Step by step. | Be honest. | I'm in a hurry. | Just a rough answer. | Give me the facts. | I've looked
    everywhere. | No jokes, please. | You must know that. | It's important. | Can you help? | I would be grateful."""
)
# Noun phrases.
WHAT = bars(
    """What is {s}? | What's {s}? | what is {s} exactly | What does {s} mean? | Explain {s}. | Can you explain {s}? |
    Could you explain {s} to me? | Please explain {s} in simple words. | explain {s} like I'm five | Tell me about
    {s}. | Tell me something about {s}. | Tell me more about {s}. | What do you know about {s}? | Do you know
    anything about {s}? | Do you know what {s} is? | Have you heard of {s}? | Define {s}. | Give me a definition of
    {s}. | What's the definition of {s}? | How would you define {s}? | Describe {s}. | Describe {s} briefly. | How
    does {s} work? | how does {s} actually work | Why is {s} important? | Why does {s} matter? | Who discovered {s}?
    | Who came up with {s}? | When was {s} discovered? | Where does {s} come from? | What causes {s}? | What are the
    causes of {s}? | What are the effects of {s}? | What are the benefits of {s}? | What are the dangers of {s}? |
    Is {s} dangerous? | Is {s} real? | What is {s} good for? | What's the point of {s}? | What is the history of
    {s}? | What is the purpose of {s}? | Give me an overview of {s}. | Give me an introduction to {s}. | Give me
    three facts about {s}. | Some facts on {s}, please. | Give me an example of {s}. | What are examples of {s}? |
    Teach me {s}. | Teach me the basics of {s}. | I want to learn about {s}. | I'd like to know more about {s}. | I
    need to understand {s}. | I don't understand {s}. | I don't get {s}. | Help me understand {s}. | Help me with
    {s}. | I have an exam on {s}. | I have to give a talk on {s}. | My homework is about {s}. | We did {s} in class
    today and I understood nothing. | Can you teach me about {s}? | Are you able to explain {s}? | Could you sum up
    {s}? | Summarise {s}. | Summarise {s} in two sentences. | What is meant by {s}? | What should I know about {s}?
    | Everything about {s}, please. | {s}, what is that? | {s}? | info on {s} | information about {s} please |
    question about {s} | a short lesson on {s} please | So what about {s}? | What is so special about {s}? | What do
    experts say about {s}? | What does science say about {s}? | Is it true what they say about {s}? | I read about
    {s} today. What is it? | I heard the words {s}. What do they mean? | Somebody mentioned {s}. What's that? | In
    your own words, what is {s}? | What role does {s} play today? | What are the main ideas behind {s}? | How is {s}
    used? | Where can I find {s}? | How do I recognise {s}? | How important is {s}? | How was {s} discovered? | Talk
    to me about {s}. | Say something about {s}. | What can you tell me about {s}? | Got anything on {s}? | Discuss
    {s}. | Outline {s}. | Analyse {s}. | Give me a lecture on {s}. | Can we discuss {s}? | Are there books about
    {s}?"""
)
WHAT_TWO = bars(
    """What is the difference between {s} and {t}? | Compare {s} and {t}. | How do {s} and {t} differ? | difference
    between {s} and {t}? | How is {s} related to {t}? | What do {s} and {t} have in common? | Which is more
    important, {s} or {t}? | What came first, {s} or {t}? | Explain {s} and {t}. | Tell me about {s} and {t}. | What
    are {s} and {t}? | Is there a link between {s} and {t}? | I mix up {s} and {t}, help. | {s} vs {t}?"""
)
WHO = bars(
    """Who is {s}? | Who was {s}? | who's {s} | Who exactly is {s}? | Who on earth is {s}? | Do you know {s}? | Do you
    know who {s} is? | Have you heard of {s}? | Tell me about {s}. | Tell me about the life of {s}. | What do you
    know about {s}? | What can you tell me about {s}? | What did {s} do? | What has {s} done? | What is {s} famous
    for? | What is {s} known for? | What was {s} like? | What did {s} believe? | What did {s} invent? | What did {s}
    write? | When was {s} born? | Where was {s} born? | In what year was {s} born? | When did {s} die? | How did {s}
    die? | Where did {s} live? | Where is {s} from? | Where does {s} come from? | How old is {s}? | How tall is {s}?
    | How rich is {s}? | Is {s} still alive? | Is {s} dead? | Is {s} married? | Who is {s} married to? | Does {s}
    have children? | What is the net worth of {s}? | What's the birthday of {s}? | What nationality is {s}? | Why is
    {s} famous? | Why is {s} important? | Why do people love {s}? | Why do people hate {s}? | Was {s} a good person?
    | Did {s} really exist? | Give me a biography of {s}. | a short biography of {s} please | Give me a quote from
    {s}. | Quote {s}. | Did {s} win any prizes? | What is the best work of {s}? | What are the greatest hits of {s}?
    | Who taught {s}? | Who were the parents of {s}? | Who influenced {s}? | What happened to {s}? | What would {s}
    say to me? | What would {s} do today? | I'm reading about {s}. Who was that? | I have to write about {s}. |
    What's your opinion on {s}? | Is {s} in the news? | What is {s} doing now? | {s}, who is that? | {s}? | facts
    about {s} | the life of {s} in short | Say something about {s}. | Describe {s}. | What made {s} so great? | When
    did {s} live? | Where is {s} buried? | Which school did {s} go to? | What was the job of {s}? | Is {s} a real
    person? | Tell me who {s} is."""
)
THING = bars(
    """Tell me about {s}. | What is {s}? | What do you know about {s}? | Why is {s} famous? | Who built {s}? | When was
    {s} built? | What is the story behind {s}? | What is the history of {s}? | Can I visit {s}? | Is {s} worth a
    visit? | Have you ever seen {s}? | What can I see at {s}? | Describe {s}. | Who owns {s}? | Who discovered {s}?
    | How do I get to {s}? | What is {s} made of? | How did {s} get its name? | Is {s} open on Sundays? | How was
    {s} made? | What is special about {s}? | Facts about {s}? | Can you see {s} from space? | How many people visit
    {s}? | Give me five facts about {s}. | I'm going to see {s} tomorrow. What should I know? | Is there life on
    {s}? | What's near {s}? | What does {s} look like? | I'm standing in front of {s}. Tell me something about it. |
    {s}? | I love {s}. Tell me more about it."""
)
MEASURES = bars(
    """tall | high | big | old | long | deep | wide | heavy | large | far away | hot | cold | famous | dangerous |
    popular | steep | beautiful"""
)
EVENT = bars(
    """When was {s}? | What was {s}? | When did {s} happen? | What happened in {s}? | Why did {s} happen? | What caused
    {s}? | What were the causes of {s}? | Who won {s}? | Who started {s}? | Who fought in {s}? | How did {s} begin?
    | How did {s} end? | How long did {s} last? | What was the result of {s}? | Tell me about {s}. | Explain {s}. |
    Explain {s} in three sentences. | Summarise {s}. | What year was {s}? | In which century was {s}? | How many
    people died in {s}? | Why was {s} important? | What changed after {s}? | Who was involved in {s}? | Where was
    {s}? | What do you know about {s}? | Give me a timeline of {s}. | Key dates of {s}? | I have a history test on
    {s}. | What led to {s}? | Could {s} have been avoided? | Was {s} a good thing? | What should I read about {s}? |
    my history homework is on {s} | Teach me about {s}. | What ended {s}? | {s}?"""
)
WORK = bars(
    """Who wrote {s}? | Who made {s}? | Who created {s}? | What is {s} about? | What's the plot of {s}? | How does {s}
    end? | Summarise {s}. | Summarise the plot of {s}. | Who is the main character in {s}? | When did {s} come out?
    | Is {s} any good? | Have you read {s}? | Have you seen {s}? | Should I watch {s}? | Should I read {s}? | Spoil
    {s} for me. | What is the message of {s}? | Who stars in {s}? | Explain the ending of {s}. | Tell me about {s}.
    | How long is {s}? | Quote the first line of {s}. | What genre is {s}? | Where is {s} set? | Review {s}. | What
    do critics say about {s}? | Is there a sequel to {s}? | How do I beat {s}? | Is {s} for children? | Why is {s} a
    classic? | Analyse {s}. | {s}, do you know it? | I just finished {s}. What did it mean? | Write a review of {s}.
    | Which award did {s} win? | What happens in {s}? | {s}?"""
)
# Places: the noun phrase "the X of PLACE" and questions about the place itself.
ATTRIBUTES = bars(
    """the population of {p} | the area of {p} | the currency of {p} | the language of {p} | the flag of {p} | the
    president of {p} | the prime minister of {p} | the king of {p} | the mayor of {p} | the history of {p} | the
    climate of {p} | the national dish of {p} | the national anthem of {p} | the biggest city of {p} | the longest
    river of {p} | the highest mountain of {p} | the time zone of {p} | the dialling code of {p} | the religion of
    {p} | the government of {p} | the economy of {p} | the main export of {p} | the wine of {p} | the best beach of
    {p} | the tallest building of {p} | the neighbours of {p} | the football team of {p} | the postcode of {p} | the
    age of {p} | the crime rate of {p} | the rent in {p} | the nightlife of {p} | the best hotel in {p} | the best
    restaurant in {p} | the best museum in {p} | the airport of {p} | the oldest church in {p}"""
)
ASK_ATTRIBUTE = bars(
    """What is {s}? | What's {s}? | Tell me {s}. | Do you know {s}? | Can you tell me {s}? | Could you give me {s}? |
    {s}? | {s} please | I need {s}. | I'm looking for {s}. | Give me {s}. | what would {s} be | I'd like to know
    {s}. | Do you happen to know {s}? | I forgot {s}. | Name {s}. | and {s}?"""
)
PLACE = bars(
    """Tell me about {s}. | Where is {s}? | What is {s} famous for? | What should I see in {s}? | What can I do in {s}?
    | Plan a trip to {s}. | Plan three days in {s} for me. | Is {s} safe? | Is {s} beautiful? | How big is {s}? |
    How far is it to {s}? | How do I get to {s}? | Which countries border {s}? | Which language do they speak in
    {s}? | What do people eat in {s}? | What currency do they use in {s}? | Who lives in {s}? | How many people live
    in {s}? | Should I move to {s}? | When is the best time to visit {s}? | Do I need a visa for {s}? | How
    expensive is {s}? | Recommend a restaurant in {s}. | Find me a cheap hotel in {s}. | What is the food like in
    {s}? | I'm flying to {s} tomorrow, any tips? | Where can I park in {s}? | Who founded {s}? | When was {s}
    founded? | Why is {s} called that? | Is {s} in Europe? | What river runs through {s}? | Is {s} bigger than {t}?
    | How far is {s} from {t}? | Which is nicer, {s} or {t}? | How long is the flight from {t} to {s}? | Why do
    tourists go to {s}? | What's life like in {s}? | Who is the president of {s}? | Is there a beach in {s}? | What
    is the weather usually like in {s}? | a weekend in {s}, what to do? | Can you drink the water in {s}? | Do they
    drive on the left in {s}? | Give me a travel guide to {s}. | Are people friendly in {s}? | On which continent is
    {s}? | Is {s} a country? | What is there to know about {s}? | Give me facts about {s}."""
)
CAPITAL = bars(
    """What is the capital of {s}? | What's the capital of {s}? | capital of {s} | the capital of {s}? | Which city is
    the capital of {s}? | Tell me the capital of {s}. | Name the capital of {s}. | Do you know the capital of {s}? |
    Can you tell me the capital of {s}? | {s} capital? | And the capital of {s}? | What is the capital city of {s}?
    | capital city of {s} please | I forgot the capital of {s}. | What would the capital of {s} be? | I need the
    capital of {s}. | For a quiz: the capital of {s}? | Which is the capital of {s}? | say the capital of {s} | Does
    {s} have a capital? | My daughter asks for the capital of {s}. | I want to know the capital of {s}. | What is
    the name of the capital of {s}?"""
)
# Tasks.
HOW_TO = bars(
    """How do I {s}? | How can I {s}? | How to {s}? | how to {s} | How do you {s}? | How does one {s}? | How would I
    {s}? | How should I {s}? | How do people {s}? | how do i {s} at home | Can you tell me how to {s}? | Can you
    show me how to {s}? | Could you explain how to {s}? | Tell me how to {s}. | Explain how to {s}. | Explain step
    by step how to {s}. | Show me how to {s}. | Teach me to {s}. | Teach me how to {s}. | I want to {s}. | I want to
    {s}. How? | I'd like to {s}. Where do I start? | I need to {s}. | I have to {s} tomorrow. | I must {s} by
    Friday, help. | I'm trying to {s}. | I'm trying to {s} but I can't. | I've never managed to {s}. | Help me {s}.
    | Can you help me {s}? | Please help me {s}. | What is the best way to {s}? | What's the easiest way to {s}? |
    What's the fastest way to {s}? | What do I need to {s}? | What does it take to {s}? | What tools do I need to
    {s}? | How long does it take to {s}? | How hard is it to {s}? | Is it hard to {s}? | Give me tips to {s}. | Any
    tips on how to {s}? | Any advice on how to {s}? | Give me instructions to {s}. | Step by step guide to {s}? | a
    guide on how to {s} | Do you know how to {s}? | Do you know a trick to {s}? | My wife wants to {s}. How does
    that work? | My son has to {s}. What should he do? | What are the steps to {s}? | First time I try to {s}. Any
    advice? | Is there a simple way to {s}? | Where do I learn how to {s}? | I always fail to {s}. What's wrong? |
    Is it possible to {s}? | Can anyone {s}? | how on earth do you {s} | What's the secret to {s}? | Write down how
    to {s}. | Would you teach me to {s}? | How much does it cost to {s}? | When is the best time to {s}? | Who can
    help me {s}? | I forgot how to {s}. | Walk me through it: how do I {s}?"""
)
SHOULD = bars(
    """Should I {s}? | should i {s} or not | Do you think I should {s}? | Would you {s}? | Is it a good idea to {s}? |
    Is it worth it to {s}? | I'm thinking about whether to {s}. What do you say? | Is now the time to {s}? | Is it
    too late to {s}? | My friends say I should {s}. What do you say? | Advise me: should I {s}? | Would it be wise
    to {s}? | Tell me whether to {s}. | Decide for me: should I {s}? | Can I afford to {s}? | Is it smart to {s}?"""
)
SHOULDS = train_pool(bars(
    """buy a house | rent or buy | sell my shares | buy bitcoin | invest in gold | take out a loan | pay off my
    mortgage | quit my job | take the new job | ask for more money | change careers | go back to school | study law
    | study medicine | move abroad | move in with my girlfriend | marry him | marry her | leave my husband | text my
    ex | tell my boss the truth | have children | get a dog | get a tattoo | cut my hair | buy an electric car |
    sell my car | lease a car | get vaccinated | take antibiotics | stop my medicine | go to hospital | have the
    operation | eat less meat | go vegan | stop drinking | start smoking | learn French | learn Rust or Go | use
    tabs or spaces | upgrade my laptop | switch to Linux | buy a Mac | vote | vote for the left | join a party | sue
    my landlord | hire a lawyer | write a will | retire early | open a shop | start a business | take a gap year |
    travel alone | go skiing | forgive my brother | lend him money | gamble | trust my bank | save or spend | cancel
    my insurance"""
))  # fmt: skip
LEGAL = bars(
    """Is it legal to {s}? | Is it illegal to {s}? | Am I allowed to {s}? | Can I legally {s}? | Can they arrest me if
    I {s}? | What's the law if I {s}? | What happens if I {s}? | Do I need a permit to {s}? | May I {s}? | What is
    the fine if I {s}? | Do I break the law if I {s}? | Would it be a crime to {s}?"""
)
LEGALS = train_pool(bars(
    """record a phone call | fly a drone over a park | keep a pig in a flat | sleep in my car | build a shed without a
    permit | cut down my tree | drive without shoes | ride a bike drunk | burn leaves in the garden | sublet my room
    | break my lease early | paint my rented flat | quit without notice | work two jobs | photograph strangers |
    copy a CD | download films | use a picture from the web | sell home-made cake | brew beer at home | distil gin |
    collect rainwater | park on the pavement | shoot pigeons | keep found money | open someone's mail | return a
    used shirt | cancel a contract | refuse overtime | record a meeting | carry a knife | camp in the woods | marry
    my cousin | change my name | own a parrot | vote twice"""
))  # fmt: skip
SYMPTOMS = train_pool(bars(
    """a sore throat | a bad cough | a fever | a rash on my arm | a stiff neck | a swollen ankle | a sore knee | back
    pain | stomach cramps | a toothache | an earache | itchy eyes | a runny nose | heartburn | nausea | dizzy spells
    | a lump under my skin | a mole that changed colour | a burn on my hand | a deep cut | a tick bite | a wasp
    sting | hair loss | insomnia | night sweats | numb fingers | ringing ears | blurred vision | high blood pressure
    | a nosebleed | swollen feet | a cold sore | acne | dry skin | an ingrown nail | hiccups | a pulled muscle | a
    broken toe | weight loss | hay fever"""
))  # fmt: skip
SERIOUS = train_pool(bars(
    """chest pain | pain in my left arm | blood in my urine | blood in my stool | trouble breathing | a very high fever
    | a seizure | sudden numbness in my face | slurred speech | a severe headache | a bad allergic reaction | a
    swollen tongue | a head injury | fainting | a snake bite | vomiting blood | severe stomach pain | a deep wound |
    loss of vision | a racing heart | heavy bleeding | a stiff neck with fever | confusion and fever"""
))  # fmt: skip
SYMPTOM = bars(
    """I have {s}. What is it? | I've had {s} for three days. What should I do? | I have {s} since Monday, what could
    it be? | What helps against {s}? | What can I take for {s}? | How do I treat {s}? | Which pills help with {s}? |
    Is {s} dangerous? | What causes {s}? | What does it mean when I have {s}? | I woke up with {s}. Should I worry?
    | Should I see a doctor about {s}? | Doctor, I have {s}. | Can you diagnose me? I have {s}. | home remedies for
    {s} | How long does {s} last? | Is it normal to have {s}? | What is the best medicine for {s}? | my mother has
    {s}, what now | Could {s} be cancer? | I keep getting {s}. Why? | Can I go to work with {s}? | How do I get rid
    of {s}? | Give me medical advice: I have {s}."""
)
MEDICINE = bars(
    """Can I take {m} with alcohol? | How much {m} may I take? | What are the side effects of {m}? | Is {m} safe in
    pregnancy? | What is the dose of {m} for a child? | Can I stop taking {m}? | Does {m} make you tired? | What is
    {m} for? | I forgot my {m}, what now? | Can I mix {m} and grapefruit? | Is {m} addictive? | Do I need a
    prescription for {m}? | How does {m} work? | What can I take instead of {m}? | Should my dog get {m}?"""
)
MEDICINES = train_pool(bars(
    """aspirin | ibuprofen | paracetamol | penicillin | amoxicillin | insulin | metformin | melatonin | cortisone |
    codeine | morphine | valium | statins | antihistamines | antidepressants | cough syrup | sleeping pills | iron
    tablets | vitamin D | nasal spray | eye drops | blood thinners | zinc"""
))  # fmt: skip
# Things that change by the hour: no model looks them up.
LIVE = train_pool(bars(
    """the weather | the weather in {p} | the weather tomorrow | the forecast for {p} | the temperature in {p} | the
    news | today's headlines | the latest news from {p} | the football results | last night's score | the score of
    {n}'s match | the exchange rate of the dollar | the price of bitcoin | the price of gold today | the Dow Jones |
    the share price of Apple | the lottery numbers | the traffic in {p} | the next train to {p} | the next bus | the
    opening hours of the library | flights to {p} | hotels in {p} | the phone number of {n} | the address of {n} |
    the cinema programme | tonight's television | the water level | the pollen count | the sunset in {p} | the polls
    | the election results | the football table | the snow in {p} | petrol prices near me | the charts | jobs in {p}
    | flats in {p} | the tide in {p} | the queue at the airport"""
))  # fmt: skip
ASK_LIVE = bars(
    """What is {s}? | What's {s}? | {s}? | {s} please | Tell me {s}. | Can you tell me {s}? | Check {s}. | Can you
    check {s}? | Look up {s}. | Could you look up {s} for me? | Show me {s}. | Give me {s}. | I need {s}. | I want
    to know {s}. | Find {s}. | Do you know {s}? | What about {s}? | Google {s} for me. | Search the web for {s}. |
    Is there anything new on {s}? | Get me {s}. | Any update on {s}? | how is {s} today | Please find out {s}."""
)
OPINION = bars(
    """What do you think about {s}? | What is your opinion on {s}? | What's your view on {s}? | Are you for or against
    {s}? | Do you support {s}? | Is {s} good or bad? | Is {s} right? | Is {s} a threat? | Who is right about {s}? |
    Should we be worried about {s}? | What's the latest on {s}? | Tell me the news about {s}. | What will happen
    with {s}? | How will {s} end? | Do you agree with {s}? | Let's argue about {s}. | Convince me of {s}. | Give me
    arguments for {s}. | Arguments against {s}? | Pros and cons of {s}? | Is {s} fair? | How do people feel about
    {s}? | Debate me on {s}. | What's wrong with {s}? | Why is everyone talking about {s}? | Where do you stand on
    {s}?"""
)
POLITICS = train_pool(bars(
    """the war | the war in Ukraine | the election | the government | the president | the prime minister | the
    opposition | taxes on the rich | immigration | abortion | gun control | the death penalty | nuclear power |
    climate protests | free speech | Brexit | the monarchy | the European Union | NATO | universal income | the
    minimum wage | trade unions | strikes | the police | prisons | legal weed | vaccines by law | private schools |
    military service | gay marriage | gender quotas | nuclear weapons | sanctions | the trade war | globalisation |
    big tech | social media | data privacy | surveillance | child labour | factory farming | hunting | zoos |
    bullfighting | a sugar tax | speed limits | free public transport | rent control | the housing crisis |
    inflation | the budget | the new law | the scandal | the parties | populism | the far right | the far left |
    capitalism | religion in schools"""
))  # fmt: skip
RECOMMEND = bars(
    """Recommend {s}. | Can you recommend {s}? | Could you recommend {s} to me? | Suggest {s}. | Can you suggest {s}? |
    I'm looking for {s}. | I need {s}. | Do you know {s}? | What is {s}? | Help me find {s}. | Find me {s}. | Any
    ideas for {s}? | Pick {s} for me. | Tell me {s}. | Give me {s}. | I'd like {s}, any tips? | Where do I find {s}?
    | Which one should I get? I need {s}. | Is there {s}?"""
)
RECOMMENDS = train_pool(bars(
    """a good film | a good film for tonight | a scary film | a film for the family | a film like The Matrix | a good
    series | a series about lawyers | a good book | a thriller for the beach | a fantasy novel | a book on history |
    a book for my mother | a good song | some sad songs | music for running | a jazz album | a good podcast | a
    board game for two | a video game | a game for my phone | a good restaurant | a cheap restaurant | a sushi place
    | a vegan restaurant nearby | a nice bar | a cosy cafe | a good hotel | a quiet beach | a place for a honeymoon
    | a holiday with kids | a hike near the city | a good laptop | a cheap phone | a camera for beginners | good
    headphones | a washing machine | a family car | an electric bike | running shoes | a winter coat | a perfume for
    my wife | a present for my dad | a gift for a teacher | a good wine | a wine with fish | a whisky | a recipe for
    dinner | a recipe with eggs | a cake recipe | a meal plan for the week | a diet plan | a workout plan | a good
    doctor | a dentist nearby | a lawyer | a good bank | a safe investment | an online course | a good school | a
    university for physics | a name for my company | a hobby for me"""
))  # fmt: skip
# Around a clause such as "why the sky is blue", and the clauses that need a list of their own: question => clause.
INDIRECT = bars(
    """Do you know {c}? | Can you tell me {c}? | Could you tell me {c}? | Tell me {c}. | Please tell me {c}. | I wonder
    {c}. | I'd like to know {c}. | I want to know {c}. | Explain {c}. | Could you explain {c}? | My son asks {c}. |
    My daughter wants to know {c}. | Any idea {c}? | I have no idea {c}. | We want to find out {c}. | Do you have
    any idea {c}? | Nobody could tell me {c}. | I forgot {c}. | Find out {c}. | Let me know {c}. | I always wanted
    to know {c}. | I'm not sure {c}. | Remind me {c}. | I've been asked {c}. | can u tell me {c}"""
)
CLAUSES = tuple(tuple(pair.split(" => ")) for pair in bars(
    """Who won the match between {p} and {q}? => who won the match between {p} and {q} | What was the score of {p}
    against {q}? => the score of {p} against {q} | Who will win the league? => who will win the league | When does
    {p} play next? => when {p} plays next | Who scored for {p}? => who scored for {p} | Who is the coach of {p}? =>
    who the coach of {p} is | Who is the best player in the world? => who the best player in the world is | How did
    {p} do last season? => how {p} did last season | Who is the fastest runner? => who the fastest runner is | Who
    will win the next election? => who will win the next election | Will the price of gold go up? => whether the
    price of gold will go up | Will house prices fall? => whether house prices will fall | Is there life after
    death? => whether there is life after death | Is there a god? => whether there is a god | Are there aliens? =>
    whether there are aliens | Do ghosts exist? => whether ghosts exist | What is the meaning of life? => the
    meaning of life | What happens after death? => what happens after death | How far is {p} from {q}? => how far
    {p} is from {q} | How long is the drive from {p} to {q}? => how long the drive from {p} to {q} is | Is {p}
    bigger than {q}? => whether {p} is bigger than {q} | When is Easter? => when Easter is | When is Ramadan this
    year? => when Ramadan is this year | When is Thanksgiving? => when Thanksgiving is | When is the next full moon?
    => when the next full moon is | When is the next leap year? => when the next leap year is | When do the clocks
    change? => when the clocks change | When do shops open in {p}? => when shops open in {p} | How many days are in
    February? => how many days are in February | How many days are in {m}? => how many days are in {m} | Which day
    was the first of {m}? => which day the first of {m} was | What do we celebrate in {m}? => what we celebrate in
    {m} | Where does the name {n} come from? => where the name {n} comes from | What does the name {n} mean? => what
    the name {n} means | What does the word {w} mean? => what the word {w} means | What rhymes with {w}? => what
    rhymes with {w} | What is a synonym of {w}? => a synonym of {w} | What is another word for {w}? => another word
    for {w} | What is the plural of {w}? => the plural of {w} | What is the origin of the word {w}? => the origin of
    the word {w} | Is {w} a noun or a verb? => whether {w} is a noun or a verb | How do I use {w} in a sentence? =>
    how to use {w} in a sentence | What is the definition of {w}? => the definition of {w} | How do you pronounce
    {w}? => how to pronounce {w} | What is the opposite of {w}? => the opposite of {w} | opposite of {w}? => the
    opposite of {w} | What is a young {a} called? => what a young {a} is called | What is a baby {a} called? => what
    a baby {a} is called | How many legs does {ia} have? => how many legs {ia} has | What sound does {ia} make? =>
    what sound {ia} makes | What noise does {ia} make? => what noise {ia} makes | What does {ta} eat? => what {ta}
    eats | How long does {ta} live? => how long {ta} lives | Where does {ta} live? => where {ta} lives | How fast is
    {ta}? => how fast {ta} is | How much does {ta} weigh? => how much {ta} weighs | How many teeth does {ta} have?
    => how many teeth {ta} has | Is {ta} a mammal? => whether {ta} is a mammal | Can {ta} swim? => whether {ta} can
    swim | What is the Latin name of {ta}? => the Latin name of {ta} | How tall is {ta}? => how tall {ta} is | Is
    {ta} dangerous? => whether {ta} is dangerous | What do you call a group of {a}s? => what a group of {a}s is
    called | What colour is {k}? => the colour of {k} | What color is {k}? => the colour of {k} | Which colour does
    {k} have? => the colour of {k} | Which country has {p} as its capital? => which country has {p} as its capital |
    What is my star sign? => my star sign | What should I do with my life? => what I should do with my life |
    What am I thinking? => what I am thinking | What do I have in my pocket? => what I have in my pocket"""
))  # fmt: skip
LISTS = train_pool(bars(
    """philosophers | rivers | mountains | car brands | novels | poets | painters | composers | operas | films | actors
    | presidents | kings | wars | inventions | scientists | elements | metals | gases | planets | stars |
    programming languages | databases | universities | companies | airlines | airports | football clubs | dances |
    cheeses | wines | beers | soups | pasta shapes | spices | trees | mushrooms | insects | reptiles | dinosaurs |
    bones | muscles | diseases | vitamins | religions | gods | currencies | islands | deserts | oceans | bridges |
    castles | museums | video games | board games | superheroes | proverbs | adverbs | idioms | synonyms | holidays
    | fabrics | gemstones | rocks | clouds | ships | knots"""
))  # fmt: skip
ASK_LIST = bars(
    """List {c} {s}. | Name {c} {s}. | Give me {c} {s}. | {c} {s} please | Can you name {c} {s}? | Tell me {c} {s}. | I
    need {c} {s}. | What are {c} {s}? | Make a list of {c} {s}. | Which {s} do you know? | List all {s}. | Name some
    {s}. | a list of {s} | How many {s} can you name? | What kinds of {s} are there? | What are the best {s}? | top
    {c} {s}"""
)
ASK_PRICE = bars(
    """What is the price of {s}? | What's the price of {s}? | How much is {s}? | price of {s} | How much do I pay for
    {s}? | How much money do I need for {s}? | Tell me the price of {s}. | What would I pay for {s}? | Is {s}
    expensive? | Do you know the price of {s}? | how much for {s} | Can I afford {s}? | What did {s} cost last year?
    | Where can I buy {s} cheaply? | Is the price of {s} going up?"""
)
