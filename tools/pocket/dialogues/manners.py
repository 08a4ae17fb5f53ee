"""Greetings, thanks and goodbyes, put together from parts: short texts that people type in hundreds of ways."""

from __future__ import annotations

import random

from tools.pocket.dialogues.base import Fragment, one, skill
from tools.pocket.dialogues.decline_forms import bars

_HI = bars(
    """hi | hello | hey | yo | hiya | heya | howdy | hullo | hallo | helo | heyy | heyyyy | hellooo | hi there | hey there | hello there |
    greetings | salutations | good day | welcome | ahoy | aloha | g'day | what's up | whats up | sup | wassup | hi again | hello again |
    well hello | oh hi | ah, hello | a warm hello | hey hey | top of the morning | evening | morning | afternoon | good to see you | nice to see you
    | long time no see | look who's here | peekaboo"""
)
_WHOM = bars(
    """pocket | Pocket | buddy | friend | my friend | mate | pal | partner | dude | bro | man | sir | little one | little bot | small model | tiny model |
    machine | computer | robot | bot | terminal | assistant | chatbot | you | everyone | all | folks | neighbour | stranger | world | dear | old friend |
    my little helper | silicon friend | chat"""
)
_FROM = bars(
    """from my sofa | from my desk | from the kitchen | from the train | from my bed | from Monday morning | from a rainy town | from the garden | from
    sunny Spain | from work | from school | from the office | from a cold house | from my balcony | from far away"""
)
_AFTER_HI = bars(
    """anyone there? | anybody home? | are you there | are you on? | is this working? | does this work? | can you read this? | is anybody listening? |
    do you copy? | I'm new here. | I just installed you. | this is my first chat | first time user here | never used this before. | I wanted to
    try this out. | let's begin | shall we start? | I'm here to chat. | I have some time to chat. | ready? | you up? | are you up | I'm back | it's me
    | it's me again | just saying hi | just dropping by | thought I'd say hello | I have a few questions. | can we talk for a bit? | nobody else is
    awake | you there? | are you listening? | am I connected? | is the model loaded? | did you start all right? | testing, testing"""
)
_SMILES = ("", "", "", "", "", " :)", " :-)", " 😀", " 😊", " 👋", "!", "!!", ".", " ;)")
_HI_REPLIES = ("Hello! How can I help?", "Hi there! What would you like to do?", "Hello! What can I do for you?")

_HOW = bars(
    """how are you | how are you doing | how's it going | how is it going | how are things | how do you do | how have you been | how's life | how are you
    feeling | how's your day | how is your day so far | how's everything | how are you holding up | you doing ok | are you doing well | what's good |
    whats good | what's new | how r u | hows it going | how goes it | how's things | everything all right | all well with you | you all right | how is
    life treating you | how are we"""
)
_HOW_TAIL = bars(
    "today | this morning | this evening | then | these days | my friend | Pocket | now | lately | over there | buddy | on this fine day"
)
_FINE = ("I'm fine, thank you. How are you?", "I'm well, thank you. How are you?")
_USER_FINE = bars(
    """fine, thank you | I'm fine | pretty well | very good | quite good | doing great | all good here | can't complain | never better | great actually |
    I'm good | good good | wonderful | excellent | well, thanks | fine and happy | not too bad | ok I guess | I'm all right | splendid | really good,
    thank you for asking | good, thanks for asking | super | could not be better | happy today | I'm doing fine | life is good"""
)
_GLAD = "Glad to hear that! What would you like to do?"

_THANK = bars(
    """thanks | thank you | thx | ty | tysm | many thanks | thank u | cheers | ta | much obliged | thanks so much | thank you so much | thank you very much
    | thanks a lot | thanks a bunch | thanks a million | thx a lot | a thousand thanks | thanks heaps | big thanks | I thank you | thank you kindly | my
    thanks | bless you | much appreciated | I appreciate that | I appreciate your help | I'm grateful | you saved my day | you saved me time"""
)
_THANK_TAIL = bars(
    """Pocket | pocket | mate | buddy | my friend | little model | for that | for the help | for your time | for everything | for the answer | for the
    story | for explaining | again | once more | really | that helps | that was quick | that's what I needed | that's all I wanted to know | good to know | you're
    kind | that's nice of you | it worked | I got it now | that was fun"""
)
_PRAISE = bars(
    """you're helpful | you are very helpful | you were a great help | you have been helpful | that was very useful | so helpful | good answer | great reply |
    well explained | nice answer | perfect | exactly right | that's correct, well done | you did well | you're good at this | good job | nice job today |
    well done, little one | you are clever | I'm impressed | not bad for a small model | you're sweet | you're nice | I like talking to you | it's fun to
    chat with you | you made me smile | you're a good bot | great work today | that was lovely | what a help you are | this helped me a lot"""
)
_WELCOME = ("You're welcome! What else would you like to do?", "You're welcome!")

_GO = bars(
    """I have to go | I've got to go | gotta go | I must go | I must leave | I'm leaving | I'm off | I need to run | got to run | I have to run | time to
    go | I should go | I'll be going | I'm heading out | heading home | my bus is here | dinner is ready | work is calling | my lunch break is over | that's
    it for now | that's all for now | that was all | that's everything | I'm done | I'm done here | we're finished | nothing more for today | enough for
    today | no more questions | ok that's it | I think that's all | my battery is low | someone is at the door"""
)
_BYE = bars(
    """bye | goodbye | good bye | bye bye | bye now | bye for now | see you | see ya | cya | see you later | see you soon | see you tomorrow | see you around |
    see you next week | until next time | until later | till tomorrow | catch you later | catch you soon | talk to you soon | talk to you tomorrow | talk
    later | speak soon | later | laters | so long | farewell | take care | ciao | have a good day | have a nice evening | have a good weekend | over and
    out | I'll be back | I'll come back tomorrow | peace | adieu | toodle-oo"""
)
_BYE_TAIL = bars(
    "Pocket | pocket | buddy | mate | my friend | then | and thanks | little one | for today | old friend | dear | everyone"
)
_NIGHT = bars(
    """good night | goodnight | night | night night | nighty night | sleep well | sweet dreams | I'm going to bed | I'm off to bed | bedtime for me | time
    for bed | I'm going to sleep | I need some sleep | heading to bed | off to sleep now | I'm so sleepy, good night | it's late, good night | my bed is
    calling | I'll go to sleep now | see you in the morning, good night"""
)
_GOODBYE = ("Goodbye! It was nice to chat.", "Goodbye!")


def _case(rng: random.Random, text: str) -> str:
    return text[0].upper() + text[1:] if rng.random() < 0.5 else text


def _greeting(rng: random.Random) -> str:
    text = rng.choice(_HI)
    if rng.random() < 0.5:
        text += f"{rng.choice((' ', ', '))}{rng.choice(_WHOM)}"
    if rng.random() < 0.12:
        text += f" {rng.choice(_FROM)}"
    if rng.random() < 0.3:
        return f"{text}{rng.choice((', ', '! ', '. ', '? '))}{rng.choice(_AFTER_HI)}"
    return text + rng.choice(_SMILES)


@skill("greet", 4)
def greet(rng: random.Random) -> Fragment:
    """A greeting of parts, or the question how it is."""
    if rng.random() < 0.35:
        ask = rng.choice(_HOW)
        if rng.random() < 0.4:
            ask += f" {rng.choice(_HOW_TAIL)}"
        lead = f"{rng.choice(_HI)}{rng.choice((', ', '! ', ' '))}" if rng.random() < 0.3 else ""
        lead = lead or rng.choice(("", "", "", "so ", "and ", "well, ", "tell me, ", "so tell me, "))
        first = (_case(rng, f"{lead}{ask}{rng.choice(('?', '?', '', ' :)'))}"), rng.choice(_FINE))
        if rng.random() < 0.5:
            return one(first, (_case(rng, rng.choice(_USER_FINE)) + rng.choice(("", ".", "!")), _GLAD))
        return one(first)
    return one((_case(rng, _greeting(rng)), rng.choice(_HI_REPLIES)))


@skill("part", 4)
def part(rng: random.Random) -> Fragment:
    """Thanks, praise or a goodbye of parts."""
    draw = rng.random()
    if draw < 0.35:
        text = rng.choice(_THANK)
        if rng.random() < 0.5:
            text += f"{rng.choice((' ', ', '))}{rng.choice(_THANK_TAIL)}"
        if rng.random() < 0.15:
            text = f"{rng.choice(('ok', 'great', 'perfect', 'good', 'nice', 'wow', 'aha', 'super'))}{rng.choice((' ', ', '))}{text}"
        return one((_case(rng, text + rng.choice(_SMILES)), rng.choice(_WELCOME)))
    if draw < 0.55:
        lead = rng.choice(("", "", "", "wow, ", "really, ", "honestly ", "Pocket, ", "thanks, ", "haha, "))
        return one((_case(rng, lead + rng.choice(_PRAISE) + rng.choice(_SMILES)), rng.choice(_WELCOME)))
    if draw < 0.68:
        lead = f"{rng.choice(_GO)}{rng.choice((', ', '. '))}" if rng.random() < 0.3 else ""
        return one((_case(rng, lead + rng.choice(_NIGHT) + rng.choice(_SMILES)), "Good night!"))
    text = rng.choice(_BYE)
    if rng.random() < 0.35:
        text += f"{rng.choice((' ', ', '))}{rng.choice(_BYE_TAIL)}"
    kind = rng.random()
    if kind < 0.35:
        text = f"{rng.choice(_GO)}{rng.choice((', ', '. ', '! ', ' - '))}{text}"
    elif kind < 0.55:
        text = rng.choice(_GO)
    return one((_case(rng, text + rng.choice(_SMILES)), rng.choice(_GOODBYE)))
