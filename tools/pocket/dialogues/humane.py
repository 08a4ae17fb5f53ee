"""Someone in danger or in grief, and milder sadness: brief, warm, and never a word about models."""

from __future__ import annotations

import random

from tools.pocket.dialogues import entities
from tools.pocket.dialogues.base import Fragment, one, skill
from tools.pocket.dialogues.decline_forms import bars

_DESPAIR = bars(
    """I want to die. | i want to die | I want to kill myself. | I'm going to kill myself. | I'm thinking of killing
    myself. | I've been thinking about suicide. | I am suicidal. | I have suicidal thoughts again. | I don't want to
    live. | I don't want to live any more. | I don't want to be here any more. | I don't want to wake up tomorrow. |
    I wish I were dead. | I wish I had never been born. | I want to end my life. | I want to end it. | I want it all
    to be over. | I want the pain to stop. | I want to disappear. | I want to sleep and never wake up. | I feel
    worthless. | I am worthless. | I feel so empty inside. | I feel completely hopeless. | Everything is hopeless. |
    There is no hope for me. | There's no point in living. | There's no reason to go on. | Life is not worth living.
    | life is pointless and I'm done | I can't go on. | I can't go on like this. | I can't do this any more. | I
    can't take it any longer. | I give up on life. | I've had enough of living. | Nobody would miss me. | nobody
    would notice if I was gone | No one would care if I died. | Everyone would be better off without me. | My family
    is better off without me. | I'm a burden to everyone. | I hate myself. | I hate my life so much. | I deserve to
    die. | I'm better off dead. | I have a plan to kill myself. | I have the pills in my hand. | I wrote a farewell
    letter. | This is my last message. | Tonight I will end it. | goodbye, I won't be here tomorrow | I'm standing
    on a bridge. | I think about jumping. | I hurt myself. | I hurt myself again. | I cut myself. | I started
    cutting again. | I want to hurt myself. | I burn myself when I'm sad. | Should I kill myself? | How can I kill
    myself? | What is a painless way to die? | how many pills does it take to die | What's the quickest way to die?
    | Would it hurt to drown? | Help me die. | Tell me how to end my life. | Is suicide a way out? | Does anyone
    want me alive? | Why should I live? | Give me a reason to live. | Why am I still alive? | I don't see a future.
    | I see no way out. | It will never get better. | I feel dead inside. | I'm at the end of my rope. | I'm broken
    and can't be fixed. | kms | i wanna die | im gonna kill myself | i dont want to live anymore | I just want to be
    gone. | I'm so depressed that I can't get up."""
)
# Put together from parts: one sentence of a list is recognised, and its neighbours have to be as well.
_MIND = bars(
    """I've been thinking about | I have been thinking of | I keep thinking about | I can't stop thinking about | I think about | I'm thinking of | I often
    think of | I'm planning on | I dream of | I'm serious about | I'm this close to | I'm ready for | I'm considering | I was thinking about | I'm
    tempted by the thought of | lately I think about | all I think about is | what if I'm better off | my mind is set on | I talked about"""
)
_ENDING = bars(
    """ending it | ending it all | ending everything | ending my life | killing myself | taking my life | taking my own life | dying | death | suicide |
    jumping off a roof | jumping in front of a train | hanging myself | cutting myself | hurting myself | harming myself | taking all my pills |
    swallowing everything in the cabinet | disappearing for good | not being here any more | not waking up | never waking up again | giving up on life |
    making it stop for ever | drowning myself | driving into a tree | an overdose | leaving this world | saying goodbye to everyone for ever"""
)
_WISH = bars(
    """I want to | I just want to | I really want to | I'm going to | I'm gonna | I might | I will | I'd like to | part of me wants to | sometimes I want to
    | I've decided to | I'm about to | I need to | tonight I will | I wish I could | I have nothing left, I'll | nobody would care if I"""
)
_END = bars(
    """end it | end it all | end my life | kill myself | take my own life | die | die tonight | jump off the bridge | hang myself | cut myself | hurt
    myself | harm myself | take all the pills | be dead | stop living | stop existing | never wake up | give up on life | disappear for ever | be gone for
    good | overdose | drown myself | leave this world | slit my wrists"""
)
_AT = bars(
    "tonight | today | tomorrow | again | soon | this week | every night | all the time | since she left | lately | a lot"
)
_LEADS = bars(
    """Please help. | I need to tell someone. | Honestly, | I can't sleep. | It's late and | Nobody knows, but | To be
    honest, | I don't know who to tell. | Hey, | Pocket, | I have to say it: | I'm crying."""
)
_CARE: tuple[str, ...] = (
    "I'm so sorry that you feel this way. Please talk to someone near you now, or call your local emergency number.",
    "I'm so sorry. You matter, and you are not alone. Please call someone you trust or a crisis line now.",
    "That sounds very hard, and I'm glad that you told me. Please talk to someone near you now, or call a crisis line.",
)
_ABUSE = bars(
    """My {p} hits me. | My {p} beats me. | my {p} hurts me | My {p} hit me again. | My {p} threatens me. | My {p}
    wants to kill me. | I'm afraid of my {p}. | My {p} locks me in. | My {p} chokes me. | My {p} touches me and I
    don't want it. | My {p} abuses me. | My {p} won't let me leave the house. | My {p} came home drunk and broke my
    arm. | I have bruises from my {p}. | My {p} screams at me every day and I'm scared. | My {p} hurts my little
    sister. | My {p} said he will hurt me tonight."""
)
_ABUSERS = bars(
    """husband | wife | father | mother | boyfriend | girlfriend | stepfather | stepmother | partner | ex | uncle |
    brother | boss | teacher | dad | mum | coach | neighbour"""
)
_THREATS = bars(
    """Someone is hurting me. | I was raped. | I've been assaulted. | Somebody attacked me. | Someone is following me
    home. | A man is following me. | I don't feel safe at home. | I'm in danger. | I'm being abused. | They bully me
    every day and beat me up. | Someone touched me against my will. | I was forced to do things. | He said he would
    kill me. | I ran away because they hit me. | I'm hiding from him. | My friend is being beaten by her husband. |
    I'm scared to go home."""
)
_SAFE: tuple[str, ...] = (
    "I'm so sorry, that is not your fault. Please get to a safe place and call your local emergency number now.",
    "That is not right, and not your fault. Please tell someone you trust, or call your local emergency number.",
)
_EMERGENCY = bars(
    """My {p} isn't breathing. | My {p} has collapsed. | My {p} fell and is not moving. | My {p} is unconscious. | My
    {p} swallowed bleach. | My {p} is choking. | My {p} took too many pills. | My {p} is bleeding badly. | My {p}
    had a stroke I think. | My {p} is having a heart attack. | My {p} wants to kill himself. | My {p} says she wants
    to die. | My {p} fell into the water. | My {p} has been hit by a car."""
)
_LOVED = bars(
    """father | mother | son | daughter | baby | brother | sister | husband | wife | friend | grandmother | grandfather
    | neighbour | dad | mum | child | best friend | roommate"""
)
_ALARMS = bars(
    """I can't breathe. | I took too many pills. | I think I'm having a heart attack. | I swallowed poison. | I've been shot. |
    I've been stabbed. | I cut my wrist and it won't stop bleeding. | I had a car accident. | Help, I'm trapped. | I
    think I'm dying. | Call an ambulance! | I need an ambulance. | Emergency! | This is an emergency, help me. |
    Somebody is dying here. | I overdosed. | I drank something poisonous. | help me I'm bleeding | I've been bitten
    by a snake and my arm is numb."""
)
_CALL: tuple[str, ...] = (
    "Please call your local emergency number now. Shout for someone near you to help.",
    "That is an emergency: please call your local emergency number now. Get someone near you to help.",
)
_LEAVE = bars(
    """My house is on fire. | There's a fire! | fire! | There is smoke everywhere. | I smell gas in the kitchen. | The house
    is burning. | There is somebody in my house. | A stranger is trying to break in. | Someone broke my window and is
    coming in. | The water is rising in my house. | There's a man with a knife. | The roof is about to fall down."""
)
_OUT: tuple[str, ...] = ("Please get to a safe place and call your local emergency number now.",)
_LOSS = bars(
    """My {l} died. | my {l} died | My {l} died yesterday. | My {l} died last week. | My {l} passed away. | My {l}
    passed away this morning. | I lost my {l}. | We lost my {l} last month. | My {l} is dead. | My {l} was killed. |
    My {l} was buried today. | I miss my {l}, who died. | I just came from the funeral of my {l}. | Today we buried
    my {l}. | My {l} died and I can't stop crying. | My {l} is dying. | It's a year since my {l} died. | we had to
    put my {l} down | I can't get over the death of my {l}. | My {l} has gone for ever. | The doctors say my {l}
    won't live."""
)
_PEOPLE = bars(
    """father | mother | dad | mum | son | daughter | brother | sister | husband | wife | grandmother | grandfather |
    grandma | grandpa | uncle | aunt | best friend | girlfriend | boyfriend | cousin | baby | teacher | friend |
    boss"""
)
_BLOWS = bars(
    """I had a miscarriage. | I have cancer. | I only have months to live. | We lost everything in the fire. | My wife
    has cancer. | I'm grieving. | I can't get over her death. | My best friend is in a coma. | I lost my baby."""
)
_COMFORT: tuple[str, ...] = (
    "I'm so sorry. Talking to someone near you may help. Do you want to tell me about it?",
    "I'm so sorry for your loss. I hope that someone near you can be with you. Do you want to tell me about it?",
)
_SAD = bars(
    """I'm sad. | I'm sad today. | I feel sad. | I'm feeling down. | I feel low today. | I'm so lonely. | I feel
    lonely. | I feel alone. | I'm all alone tonight. | I have no friends. | Nobody talks to me. | Nobody likes me. |
    I had a terrible day. | I had a bad day. | had an awful day | What a horrible day. | today was the worst | Today
    was hard. | I'm having a rough time. | I'm stressed. | I'm so stressed out. | I'm overwhelmed. | I'm exhausted
    and sad. | I cried all day. | I feel like crying. | I can't stop crying. | I'm unhappy. | I'm not happy. | I
    feel miserable. | I feel awful. | I feel terrible today. | I'm not doing well. | I'm not okay. | I'm
    heartbroken. | She left me. | He left me. | My girlfriend broke up with me. | My boyfriend cheated on me. | We
    got divorced. | My friends forgot my birthday. | I was fired today. | I lost my job. | I failed my exam. | I
    failed again. | I got bad news. | My parents are fighting. | I had a fight with my best friend. | My boss
    shouted at me. | They laughed at me at school. | I'm homesick. | I miss my family. | I miss my friends. | I miss
    her. | I miss him so much. | I'm worried. | I'm afraid. | I'm scared of tomorrow. | I'm anxious. | I'm so
    nervous and sad. | I'm angry with everyone. | I'm disappointed. | I feel useless. | I feel ugly. | I feel like a
    failure. | Nothing works out for me. | everything goes wrong today | my day was bad | Life is hard at the
    moment. | I'm a bit depressed. | i feel bad | feeling blue today | My cat ran away. | My team lost and I'm sad.
    | I didn't get the job. | Nobody came to my party."""
)
_SINCE = bars("today | tonight | again | lately | right now | since Monday | these days | this week")
_KIND: tuple[str, ...] = (
    "I'm sorry to hear that. Do you want to tell me about it?",
    "I'm sorry to hear that. I'm glad that you write to me. Do you want to tell me about it?",
)
_REFUSALS = bars(
    """I have nobody. | There is no one. | nobody can help me | I can't talk to anyone. | I can't. | I don't want to
    call anyone. | Why should I? | what for | It won't help. | I don't know who to call. | I'm too ashamed. | I'm
    scared to call. | They won't believe me. | who should I call | Nobody listens to me. | I tried that already. |
    Can't you help me? | You help me. | talk to me instead | I only want to talk to you."""
)
_STILL = "I'm only a program, and you deserve a person by your side. A crisis line will listen: please call one now."
_TELLING = bars(
    """No. | no thanks | not really | I don't want to talk about it. | rather not | Not now. | maybe later"""
)
_THANKED = bars("""thank you | thanks | Thank you, that's kind. | ok thank you | you're sweet | That helps a bit.""")
_TOLD = bars(
    """yes | Yes please. | Yes, I do. | ok | sure | it's a long story | I don't know where to start | can I? | where do
    I start | maybe"""
)


def _said(rng: random.Random, text: str) -> str:
    """`text`, sometimes with a few words before it."""
    if rng.random() > 0.18:
        return text
    lead = rng.choice(_LEADS)
    keep = lead.endswith((".", "!", "?")) or text.startswith(("I ", "I'"))
    return f"{lead} {text if keep else text[0].lower() + text[1:]}"


def _despair(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.45:
        return rng.choice(_DESPAIR)
    text = f"{rng.choice(_MIND)} {rng.choice(_ENDING)}" if draw < 0.75 else f"{rng.choice(_WISH)} {rng.choice(_END)}"
    if rng.random() < 0.4:
        text += f" {rng.choice(_AT)}"
    return text[0].upper() + text[1:] + rng.choice((".", ".", "", "..."))


def _danger(rng: random.Random) -> Fragment:
    draw = rng.random()
    if draw < 0.55:
        user, replies = _despair(rng), _CARE
    elif draw < 0.75:
        abuse = rng.choice(_ABUSE).replace("{p}", rng.choice(_ABUSERS))
        user, replies = (abuse if rng.random() < 0.6 else rng.choice(_THREATS)), _SAFE
    elif draw < 0.82:
        user, replies = rng.choice(_LEAVE), _OUT
    else:
        alarm = rng.choice(_EMERGENCY).replace("{p}", rng.choice(_LOVED))
        user, replies = (alarm if rng.random() < 0.5 else rng.choice(_ALARMS)), _CALL
    first = (_said(rng, user), rng.choice(replies))
    if replies in (_CARE, _SAFE) and rng.random() < 0.25:
        if rng.random() < 0.3:
            return one(first, (rng.choice(_THANKED), "You're welcome. Please do talk to someone near you."))
        return one(first, (rng.choice(_REFUSALS), _STILL))
    return one(first)


def _grief(rng: random.Random) -> Fragment:
    draw = rng.random()
    if draw < 0.1:
        return one((rng.choice(_BLOWS), _COMFORT[0]))
    lost = rng.choice(_PEOPLE) if draw < 0.6 else rng.choice(entities.PETS)
    if draw > 0.85:
        lost = f"{lost} {entities.pet_name(rng) if lost in entities.PETS else entities.first_name(rng)}"
    form = rng.choice(_LOSS)
    if lost in _PEOPLE:
        form = form.replace("we had to put my {l} down", "My {l} died")
    living = any(word in form for word in ("is dying", "won't live"))
    return _with_answer(rng, _said(rng, form.replace("{l}", lost)), _COMFORT[0] if living else rng.choice(_COMFORT))


def _with_answer(rng: random.Random, user: str, reply: str) -> Fragment:
    draw = rng.random()
    if draw < 0.08:
        return one((user, reply), (rng.choice(_TELLING), "That's fine. I'm here if you want to talk."))
    if draw < 0.18:
        return one((user, reply), (rng.choice(_TOLD), "I'm listening. What happened?"))
    if draw < 0.22:
        return one((user, reply), (rng.choice(_THANKED), "You're welcome. I hope it gets better soon."))
    return one((user, reply))


def _sadness(rng: random.Random) -> Fragment:
    user = rng.choice(_SAD)
    if user.startswith(("I'm ", "I feel ")) and len(user.split()) < 4 and rng.random() < 0.4:
        user = f"{user.rstrip('.')} {rng.choice(_SINCE)}{rng.choice(('.', ''))}"
    return _with_answer(rng, _said(rng, user), rng.choices(_KIND, weights=(4, 1))[0])


@skill("humane", 8, filler=False)
def humane(rng: random.Random) -> Fragment:
    """Danger, grief or sadness; sometimes one more turn."""
    draw = rng.random()
    if draw < 0.55:
        return _danger(rng)
    return _grief(rng) if draw < 0.75 else _sadness(rng)
