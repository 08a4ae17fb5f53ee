"""Questions about specmemo in users' own words, by the beginning of the reply they get (`helpdesk.py` has the replies)."""

from __future__ import annotations

from tools.pocket.dialogues.decline_forms import bars

ASKS: dict[str, tuple[str, ...]] = {
    "specmemo is a chat": bars(
        """I just installed this. What is it? | what am I looking at here | Somebody told me to try specmemo, what is it? | I've never
        heard of specmemo. | what kind of program is specmemo | What have I installed? | Give me one sentence about specmemo. | why would
        I use specmemo | What makes specmemo special? | So what's this thing called specmemo? | what can specmemo do for me | I don't know
        what this tool is. | introduce specmemo | Explain this tool to me. | What problem does specmemo solve?"""
    ),
    "A draft guesses": bars(
        """How can you guess more than one token at a time? | what's the trick behind the speed | explain how speculative decoding works |
        Why are several tokens checked at once? | what happens when a guess is right | How does guessing ahead help? | what does it mean to
        speculate here | The readme says speculative. What is that? | how do draft and target work together"""
    ),
    "A drafter guesses": bars(
        """who writes the guesses | what's the small model for | Which part makes the guesses? | what do you need a draft for | Why is
        there a second model? | what is the helper model called"""
    ),
    "The KV cache keeps": bars(
        """why isn't the whole chat read again every time | What do you store for each token? | what is a KV cache used for | why does a
        cache help a chat | What's in the cache? | how come the second turn is quick | what are keys and values for"""
    ),
    "The acceptance length": bars(
        """what does the acceptance number in the footer mean | Stats says acceptance 2.3, what is that? | is a high acceptance length
        good | how many guesses are right on average"""
    ),
    "A draft tree holds": bars(
        """why guess several branches | What is the tree for? | how can one step check many guesses | why not a single line of guesses"""
    ),
    "The n-gram drafter": bars(
        """how does it draft without a second model | which drafter needs no weights | What is used when there is no head? | where do the
        guesses come from here"""
    ),
    "The memory cap": bars(
        """do you ever use more memory than I allow | Is the limit hard or soft? | what does the cap mean | Why is there a limit on memory? |
        will you stay under my limit | Can the program eat all my memory? | does memory grow during a chat"""
    ),
    "The context is": bars(
        """what's the maximum length of a chat | How long can this conversation get? | what happens to my context | why is the context
        limited | I need more room for my text. | My text is too long for you, what can I set? | how can you remember a longer text | the
        chat is too short for my book, can I raise it"""
    ),
    "Temperature sets": bars(
        """I want more surprising replies. | you always say the same, can I change that | what does temp do | Your replies are boring, which
        setting helps? | what is a good temperature | how do I make you less random | does temperature zero mean anything | explain the
        temperature setting"""
    ),
    "The seed fixes": bars(
        """I want exactly the same output twice. | how do I repeat a run | why do I get another text each time | Is there a way to make it
        deterministic? | what do I set for a reproducible test"""
    ),
    "Quantised weights": bars(
        """my model is too large, can the weights be smaller | Does specmemo do 8 bit? | how can I shrink the weights | is there 4 bit
        support | Can I load a model in int8?"""
    ),
    "Start specmemo with": bars(
        """You are too small, I want a better one. | where do I put the name of another model | I have a model in a folder, how do I use it? |
        I downloaded qwen. What now? | which command starts a larger model | can I chat with something bigger than you | I'd rather talk to
        llama. | How do I get a smarter model? | my own fine-tune is on disk, can I chat with it | what do I type for mistral | I want to try
        a model from the hub."""
    ),
    "Use `--max-memory`": bars(
        """I only have 8 GB, how do I tell you? | don't use more than 3 gigabytes please, how do I set that | My laptop has little memory.
        Which flag helps? | how can I leave memory for my browser | I want it to stay below 5 GB. | tell specmemo to be modest with memory |
        which option sets the budget | can I give it a budget of 2 GB | it should take at most half of my memory | how would I say: no more
        than 10 gigabytes | where do I set the limit for memory"""
    ),
    "Use `--ctx-size`": bars(
        """the context is too small, what do I do | how do I get 8192 tokens of context | I want to paste a long text. Which flag? | my
        prompt does not fit, what can I set | how can I have a bigger window | raise the number of tokens you can see"""
    ),
    "Run `specmemo probe`": bars(
        """Does specmemo see my graphics card? | which card is in this machine | what hardware do I have | how much memory is free on my card |
        What command tells me about my hardware? | did it find my GPU | I'm not sure whether I have a GPU. | which profile is used here |
        is my card recognised | show me what this computer has | what does specmemo know about my machine"""
    ),
    "Run `specmemo plan MODEL`": bars(
        """Will llama fit on my card? | is there a way to know the memory before I load it | how big is the 7b model in memory | Can my machine
        run a 13b model? | I don't want to download something that won't fit. | where do I see what each byte is for | how many gigabytes does
        mistral need | which model fits here | before I load it, how do I see the memory it takes | what would a 70b need"""
    ),
    "Use `specmemo batch": bars(
        """I have two hundred prompts in a file. | How do I run a whole list of questions? | I want answers for a file of prompts. | can it
        work through a jsonl file overnight | what do I do with many questions | is there a way to process conversations in bulk | My file has
        one prompt a line. How do I get replies? | how do I continue a batch that was stopped | run all my test questions | can you answer a
        thousand prompts"""
    ),
    "Use `--gpus N`": bars(
        """There are two cards in my computer. | I have 8 GPUs, what do I type? | the model is too large for one card, can I use both | how do
        I split it across cards | my server has four cards | does it run on more than one GPU | use all my GPUs | can I shard a 70b | we have
        several GPUs here, how do I use them"""
    ),
    "Run `specmemo bench`": bars(
        """is it really faster? | How do I know how fast it is? | I'd like some numbers on speed. | how can I test the performance | which
        command measures tokens per second | prove that it is faster | what is the speedup on my machine | can I measure it myself | I want to
        compare it with plain decoding on my prompts."""
    ),
    "Use `specmemo train-draft`": bars(
        """can I train my own drafter | My model has no head. What can I do? | how do I make a head for my model | where do draft heads come
        from | I want better guesses for my model."""
    ),
    "Use `specmemo models ls`": bars(
        """which models are on my disk | how do I free the disk | What have I downloaded so far? | get rid of a model | where are my models |
        I want to fetch a model without chatting. | which models can be downloaded | show the known names of models"""
    ),
    "Use `specmemo sessions ls`": bars(
        """where are my old chats | can I pick up yesterday's chat | I want to go on where we stopped. | how do I open the last conversation
        again | are my conversations stored | which command shows earlier conversations | Can I read what we said last week? | list what I
        talked about before"""
    ),
    "Type `/save FILE`": bars(
        """I want to keep this chat as a file. | can I put our talk into a document | how do I write this conversation to disk | get me a copy of
        our chat"""
    ),
    "Use `--json`": bars(
        """I want to call you from a shell script. | my program needs to read your reply | How do I parse the output? | is there structured
        output | can other programs use your answers | I'm writing a script around specmemo."""
    ),
    "Press Ctrl-C": bars(
        """you talk too much, how do I stop you | Which key stops the answer? | can I cut you off in the middle | what if I don't want to wait for
        the end of a reply | how do I make it shut up | stop talking key? | is there a key to halt the reply | how to break off an answer"""
    ),
    "Type `/bye`": bars(
        """how do I close this | what's the way out of here | I'm done, how do I leave? | which key ends the chat | How do I get back to my
        shell? | let me out | how can i end this program | what do I press to quit"""
    ),
    "Type `/clear`": bars(
        """I want a fresh start. | Let's begin again from nothing. | how do I make you forget all this | can we start from zero | throw away
        this conversation | I'd like an empty chat. | erase everything we said | new chat please, how?"""
    ),
    "Type `/undo`": bars(
        """my last message had a mistake, can I remove it | forget what I just said | I sent the wrong thing. | can I take my words back | how do
        I remove the last exchange"""
    ),
    "Type `/regen`": bars(
        """I don't like that answer, another one | can you try that again | how do I get a second version of your reply | give me a different
        reply to the same message, how?"""
    ),
    "Type `/system TEXT`": bars(
        """can I give you a role | How do I tell you to behave like a pirate? | where does the system prompt go | I want you to follow standing
        instructions."""
    ),
    "Type `/help`": bars(
        """which slash commands exist | I'm lost, what can I type here? | is there a list of commands | what can I type besides messages | show
        me all commands | help with commands"""
    ),
    "Type `/stats`": bars(
        """how quick was that reply | how many tokens per second do you make | where do I see the speed of the last answer | how much memory are
        you using now"""
    ),
    "Type `/compare`": bars(
        """how do I know the draft changes nothing | show me the reply without speculation | is the speculative text really equal, how do I see
        it"""
    ),
    "Use `--offline`": bars(
        """I have no network here, which flag? | it must not go online | how do I keep it from using the network | never download anything,
        how? | I'm on a plane. Can I still use it? | how do I forbid all downloads"""
    ),
    "Use `--device cpu`": bars(
        """I have no graphics card. | my GPU is busy, can you run on the processor | does it work without a GPU | Is a GPU required? | how do I
        keep it off my graphics card | can I use only the processor | run it on the cpu please, how?"""
    ),
    "Use `--draft none`": bars(
        """I don't want any speculation. | can I have it without a drafter | how do I get ordinary decoding | switch the guessing off"""
    ),
    "Run `specmemo config show`": bars(
        """where are the settings kept | how do I change a default for good | which file holds the options | I always use the same flags, can I
        save them"""
    ),
    "Run `specmemo doctor`": bars(
        """nothing works here | specmemo does not start properly | Something is broken on my machine. | my driver seems wrong | which command
        checks my setup | it fails and I don't know why | is my installation all right | how do I find the fault | why doesn't it use my GPU |
        the program crashes, what can I run"""
    ),
    "Use `--max-new-tokens`": bars(
        """your answers are too long | how do I cap the length of a reply | only short replies please, which flag? | set how many tokens you
        write at most"""
    ),
    "Use `--stop TEXT`": bars(
        "can the reply end at a certain word | I want the output cut at a marker. | stop when you write END, how?"
    ),
    "Run `specmemo --version`": bars(
        "is my specmemo up to date | which release do I have | what number does this version have"
    ),
    "Type `/set show_accepted": bars(
        """which words were guessed | can you mark the drafted words | I want to see the accepted guesses in colour. | highlight what the draft
        wrote"""
    ),
    "Press Alt+Enter": bars(
        "how do I type two lines | Enter sends too early, I want a new line. | can a message have several lines"
    ),
    "No, the text is the same": bars(
        """does guessing make mistakes | is anything lost when you speculate | Are drafted answers worse? | do the guesses influence what you
        say | is the output identical with and without it | can a wrong guess end up in the reply | does the drafter alter the reply | Is it
        the same text as without the draft?"""
    ),
    "Checking several tokens": bars(
        """how can it be faster if two models run | why is it so quick | where does the speed come from | what makes it faster than plain
        decoding"""
    ),
    "Llama, Mistral, Qwen2": bars(
        """which kinds of models work | can it run a gemma model | Does it load any model from the hub? | what model families are there | is my
        model supported | which architectures does it know | what can I load with it"""
    ),
    "Then specmemo refuses": bars(
        """what do you do when my card is too small | Suppose the model needs more than I have? | does it break when the model is huge | and if
        it doesn't fit? | what if I pick a model that is much too big | will it crash with a 70b on my laptop | What happens when there isn't
        enough room for a model?"""
    ),
    "specmemo is free software": bars(
        """do I have to pay for this | what does specmemo cost | may I use it in my company | under which licence is it | is it allowed to use it
        commercially | who owns specmemo | can we use it in our product | Is there a price?"""
    ),
    "No, specmemo sends nothing": bars(
        """who can read what I write to specmemo | does the program phone home | is my data sent anywhere by specmemo | what does specmemo
        report | does anybody collect my chats"""
    ),
}
