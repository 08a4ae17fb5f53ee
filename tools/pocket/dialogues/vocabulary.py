"""Common English words for spelling, repeating and writing in capitals."""

from __future__ import annotations

WORDS = tuple(
    dict.fromkeys(
        """able about above across action address afternoon again against agree airport album alone along already also always
    amazing anchor angle animal answer apple apron arm army arrow artist asleep autumn away baby back bacon bag ball balloon
    bamboo banana band bank barrel basket bath beach beard beautiful because bed bedroom beetle before behind bell below belt
    bench berry beside better between bicycle bird birthday biscuit bitter blanket blue boat body bone book boot border borrow
    bottle bottom bowl box boy branch brave bread breakfast bridge bright bring brother brown brush bucket build bus business
    busy butter butterfly button cabbage cabin cable cage cake calendar camera camp candle cannon captain card careful carpet
    carrot carry castle cat caught ceiling cellar centre chain chair chalk change cheap cheese cherry chess chicken child choice
    church circle circus city class clean clever climb clock cloud clown coast coat coffee coin cold colour comb common company
    computer cook copper copy corner cotton cough country couple courage cousin cover crab cradle crayon cream crocodile cross
    crown cup curtain cushion customer dance danger dark daughter decide deep deer degree dentist desert desk detail diamond
    dinner dirty doctor dog doll dollar dolphin donkey door double dragon drawer dream dress drink drive drum dry duck during
    dust eagle early earth east easy edge egg eight elbow elephant empty engine enough enjoy equal evening every exact example
    exercise eye face factory family famous farm farmer fast father feather feel fence fever field fifteen film finger finish
    fire first fish flag flame floor flour flower flute follow food foot forest forget fork fountain fox freedom fresh friend
    frog front fruit full funny furniture game garage garden garlic gate gentle ghost giant ginger giraffe girl glad glass
    glove goat gold good goose grandfather grape grass grateful great green grey ground group guess guitar hair half hammer
    hand handle happen happy harbour hard harvest hat heart heavy hedgehog helicopter help hero hidden high hill holiday hollow
    honest honey hope horse hospital hotel hour house hundred hungry hurry ice idea important insect inside island jacket jam
    jelly jewel job join journey judge juice jump jungle kettle key kind king kitchen kite kitten knee knife ladder lake lamp
    language lantern large laugh lazy leaf learn leather left lemon lesson letter library light lightning lion list listen
    little lizard lonely long lost loud lucky lunch machine magic make manner many map marble market marry mask matter meadow
    measure meat medicine melon member memory message metal middle milk million mind minute mirror model modern money monkey
    month moon morning mother motor mountain mouse mouth move much muscle museum mushroom music mystery nail narrow nature
    near neck needle neighbour nest never night nine noise north nose notebook nothing number nurse ocean office often old
    onion open orange orchard order other outside oven owl own paint palace paper parcel parent parrot party patient peace
    peach peanut pear pebble pencil people pepper perfect piano picture pillow pilot pink pirate place plane planet plant
    plastic plate play please pocket poem police polite pond pony poor popular potato powder power present pretty price prince
    princess printer problem promise proud pumpkin puppy purple purse puzzle quarter queen question quick quiet rabbit race
    radio rain rainbow read ready reason recipe record red remember repair reply rest rhythm ribbon rice rich right ring river
    road robot rocket roof room root rope rose round rubber ruler sad saddle safe sail salad salt same sand sandwich saturday
    sauce scarf school science scissors scooter season second secret seven shadow shape sharp sheep shell ship shirt shoe shop
    short shoulder shovel silence silver simple singer sister six skirt sky sleep slow small smell smile smoke snail snake snow
    soap soft soldier song soup south space spider spoon spring square squirrel stairs stamp star station stone storm story
    strange straw strawberry street string strong student sugar summer sun sunny surprise sweet swim table tailor tall teacher
    team telephone temple ten tent theatre thick thin thing thirteen thirty thousand thread three throat throw thumb thunder
    ticket tiger time tired toast today together tomato tomorrow tongue tooth tower town toy traffic train travel treasure tree
    triangle trouble trousers truck trumpet trust tunnel turtle twelve twenty twin umbrella uncle under unhappy uniform useful
    valley vegetable velvet village violin visit voice wagon waiter walk wall walnut warm watch water wave weather wedding week
    well west whale wheat wheel whisper white wide wife wild window winter wise wolf woman wonder wood wool word work world
    worm wrong yard year yellow yesterday young zebra""".split()
    )
)
