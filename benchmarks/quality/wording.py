"""What may stand for what in the words of users and agents, for copies that read differently.

A group holds words or phrases that mean the same in every place in which one of them stands, so that
a copy may say any of them. None holds a negation, a number, a name or a condition: what a
conversation is about stays the same. No alternative contains a quotation mark or a backslash, so that
it can stand inside JSON.
"""

from __future__ import annotations

import re

from benchmarks.quality.places import words

CONTRACTIONS = """
i'm|i am; i'd like|i would like|i want; i'll|i will|i shall; i've|i have; don't|do not;
can't|cannot; won't|will not; it's|it is; that's|that is; you're|you are; you'd like|you would
like|you want; you'll|you will; you've|you have; there's|there is; isn't|is not; doesn't|does
not; didn't|did not; couldn't|could not; wouldn't|would not; haven't|have not; wasn't|was not;
aren't|are not; we'll|we will; what's|what is; let's|let us; here's|here is; they're|they are;
hasn't|has not
"""

PHRASES = """
could you please|can you please|would you please|could you kindly|would you kindly|please could
you; can you help me with|could you help me with|would you help me with|can you assist me with;
can you help me|could you help me|would you help me|can you assist me|could you give me a hand;
i need to|i have to|i must|i've got to|it is necessary for me to; i want to|i wish to|i'm
looking to|i'm hoping to|i intend to|i am keen to; i'd like to|i would like to|i'd love to;
would you like to|do you want to|do you wish to|would you care to|are you happy to; would you
like me to|do you want me to|shall i|should i|may i go ahead to; provide me with|give me|send
me; i can help you with|i can assist you with|i'm able to help you with|i can support you with;
i can help with|i can assist with|i'm able to help with|i can support; i'd be happy to|i'm happy
to|i'd be glad to|i'm glad to|it'd be my pleasure to|i'd gladly; let me know|tell me|inform me;
let me check|let me look up|let me verify|i'll check|let me pull up|let me have a look at; to
proceed with|to go ahead with|to move forward with|to continue with; proceed with|go ahead
with|move forward with|continue with|carry on with; please proceed|please go ahead|please
continue|please move ahead|please carry on; go ahead and|just|please do; want me to|wish me
to|need me to; in order to|so as to; as well|too; as well as|along with|together with; according
to|per|as per|in line with|following; based on|given|going by|judging by; at this time|right
now|currently|at present|for now|at the moment; right away|immediately|straight away|at
once|without delay; as soon as possible|as quickly as possible|promptly; first of all|to begin
with|to start with|for a start; to get started|to begin|to start|to start off|before we begin;
thank you for|thanks for|many thanks for|i appreciate|i'm grateful for|much appreciated for;
thank you|thanks|many thanks|thanks a lot|thank you so much|much obliged; i'm sorry|i
apologize|my apologies|apologies|i do apologize; i understand|i hear you|i get that;
unfortunately|regrettably|sadly|i'm afraid; however|that said|even so; additionally|in
addition|on top of that|furthermore|besides; because|given that|seeing that; due to|because
of|owing to|on account of; instead of|rather than|in place of; for example|for
instance|say|e.g.; a few|several|a couple of|some; a lot of|lots of|plenty of|much; look it
up|find it|pull it up|locate it|track it down; look up|find|pull up|locate|search for;
double-check|check again|recheck|verify again|confirm once more; make sure|ensure|be certain|see
to it; find out|learn|determine|work out|establish; take care of|handle|deal with|see to|sort
out; as soon as|once|the moment; is it possible|would it be possible|is there any way|might it
be possible; if possible|if you can|where possible|should it be possible; no longer|not any
longer; at least|no fewer than|a minimum of; up to|as many as|a maximum of; and|&|and also|plus;
but|yet|though; now|at this point; please|kindly|if you would, please; just|simply;
really|truly|very much|honestly; actually|in fact|as it happens|in truth; currently|presently|at
present|right now; provide|give|share|send|supply; provided|given|shared|supplied;
verify|validate|check; modify|alter|adjust|amend;
changes|modifications|alterations|adjustments|amendments;
changed|modified|altered|adjusted|amended; changing|modifying|altering|adjusting; cancel|call
off|annul; need|require; needs|requires; needed|required; helping|assisting; assistance|support;
get|obtain|receive; show|present; choose|select|pick|go for; keep|retain|hold on to;
use|apply|go with|make use of; using|with|by means of; update|refresh|revise;
updated|refreshed|revised; issue|problem|trouble; issued|sent out|given out;
options|choices|alternatives|possibilities; option|choice|alternative|possibility;
details|information|particulars|specifics; information|details|info|data; requested|asked
for|wanted; reservation|booking; reservations|bookings; trip|journey|travel; cost|price|charge;
costs|prices|charges; reason|cause|ground; following|below; available|on offer|open;
additional|extra|further|more; exact|precise; specific|particular|certain; recent|latest;
entire|whole|full|complete; possible|feasible|doable; correct|right|accurate; different|other;
important|vital|essential|crucial; several|a number of|various|multiple; original|initial;
current|present|existing; same|very same|identical; directly|straight; sure,|certainly,|of
course,|absolutely,|no problem,; yes|yep|yeah; okay|ok|alright|all right|fine;
great|perfect|wonderful|excellent|lovely; hi|hello|hey|good day|hi there|greetings; hi
there|hello there|hey there|hi|hello; quickly|fast|swiftly|soon; definitely|certainly|surely;
maybe|perhaps|possibly; happy|glad|pleased; tell|let know|inform; explain|clarify|spell out;
mention|say|point out|note; mentioned|said|pointed out|noted; find|locate|discover|identify;
found|located|identified|come across; begin|start|commence; complete|finish|finalize|conclude;
completed|finished|finalized|done; review|go over|look over|look through; submit|send in|hand
in; arrange|organize|set up; wait|hold on|hang on; try|attempt; tried|attempted;
booked|reserved|made; purchase|buy|acquire|get; purchased|bought|acquired;
charged|billed|debited; refunded|paid back|reimbursed|returned; receive|get;
process|handle|carry out; processed|handled|carried out; allowed|permitted|possible; able to|in
a position to; unable to|not able to|not in a position to; eligible|qualified|entitled;
policy|regulation; representative|colleague|agent|specialist; customer|client|guest;
situation|matter|circumstances|case; concern|worry|issue; emergency|urgent matter|crisis;
family|relatives; mistake|error|slip; account|profile; handy|at hand|with me|nearby; today|this
day|now; again|once more|one more time|anew; another|one more|a further; already|by
now|previously; within|inside; above|listed above|aforementioned|mentioned above; before|prior
to|ahead of; after|following|subsequent to; until|till|up until; while|whereas|as;
regarding|concerning|with regard to; via|through|by way of|over; per|for each|for every;
cheapest|lowest-priced|least expensive|most affordable; expensive|costly|pricey;
direct|nonstop|non-stop; leaving|departing|heading out; arriving|landing|getting in;
arrives|lands|gets in; departs|leaves|takes off; outbound|departing|outward;
bags|suitcases|pieces of luggage; bag|suitcase|piece of luggage; baggage|luggage|bags;
seats|places; upgrade|move up; passenger|traveler|flyer; passengers|travelers|flyers;
flying|traveling|going; delayed|late|held up; compensation|reparation|recompense;
balance|remainder|rest; difference|gap|delta; works for me|is fine with me|suits me|is good for
me; sounds good|that sounds fine|sounds fine|looks good|all good; i think|i believe|i guess|i
suppose|to my mind; i believe|i think|as far as i know; i was wondering|i wonder|i'd like to
know|i'm curious; i know|i'm aware|i realize; i found|i located|i came across; i don't have|i do
not have|i haven't got|i lack; i can't|i cannot|i'm unable to|i'm not able to; you can|you
may|you could|it is open to you to; there are|there exist; here are|below are; going to|about
to|set to; such as|like|including; like this|this way|in this manner; how much|what amount|what
sum; how many|what number of; which one|what one; what kind of|which kind of|what sort of; at
all|in any way; for me|on my behalf; the reservation|this reservation|that booking|the booking;
the order|this order|that order; the flight|this flight|that flight; the item|this item|that
article|the article; the items|these items|those articles|the articles; the refund|this
refund|that refund|the reimbursement; the payment|this payment|that payment; the
cancellation|this cancellation|that cancellation; the change|this change|that modification|the
modification; the details|these details|the particulars|the specifics; the trip|this trip|that
journey|the journey; the policy|our policy; your reservation|your booking|the reservation of
yours; your order|the order of yours|your purchase; your account|your profile|the account of
yours; your request|what you asked for|your wish; my reservation|my booking|this reservation of
mine; my order|my purchase|this order of mine; my account|my profile|the account of mine; your
help|your assistance|your support|helping out; this time|on this occasion; any other|any
further|some other; order|purchase; email|e-mail|mail; address|postal address;
shipping|delivery; delivered|received|handed over; items|articles|things; item|article|thing;
swap|trade; replace|substitute|swap out; match|fit|agree with|correspond to; belong to|be part
of; color|colour|shade; size|dimension; people|persons|folks; person|individual; number|no.;
looks|appears|seems; looking|searching; asking|inquiring; want|wish|desire; wants|wishes|would
like; prefer|favor|would rather have|like better; hope|expect; appreciate|value|am grateful for;
departure|take-off; arrival|landing; fee|charge|surcharge; fees|charges|surcharges;
free|complimentary
"""

PRODUCTS = """
e-reader|ebook reader|e-book reader; laptop|notebook computer|portable computer;
backpack|rucksack|daypack; headphones|headset|over-ear headphones; smartphone|mobile phone|cell
phone; vacuum cleaner|hoover|vacuum; desk lamp|table lamp|reading lamp; jigsaw puzzle|picture
puzzle|puzzle set; water bottle|drinking bottle|flask; garden hose|watering hose|yard hose;
wristwatch|watch|wrist watch; skateboard|longboard|skate deck; action camera|sports
camera|adventure camera; bookshelf|bookcase|book rack; office chair|desk chair|swivel chair;
electric kettle|water kettle|electric water kettle; hiking boots|trekking boots|trail boots;
sneakers|trainers|casual shoes; running shoes|jogging shoes|runners; gaming mouse|gaming
pointer|gamer mouse; mechanical keyboard|mechanical board|switch keyboard; smart
watch|smartwatch|connected watch; tablet|slate computer|pad; t-shirt|tee shirt|tee; fleece
jacket|fleece pullover|fleece coat; portable charger|power bank|battery pack; bluetooth
speaker|wireless speaker|bluetooth loudspeaker; espresso machine|espresso maker|espresso brewer;
coffee maker|coffee machine|coffee brewer; air purifier|air cleaner|air filter unit; pet
bed|animal bed|pet cushion; makeup kit|cosmetics kit|make-up set; luggage set|suitcase
set|trolley set; yoga mat|exercise mat|pilates mat; cycling helmet|bike helmet|bicycle helmet;
bicycle|bike|pushbike; grill|barbecue|bbq; dumbbell set|weights set|hand weights;
perfume|fragrance|scent; sunglasses|shades|sun glasses; tea kettle|teapot|stovetop kettle;
indoor security camera|indoor camera|indoor surveillance camera; digital camera|compact
camera|photo camera; electric toothbrush|sonic toothbrush|power toothbrush; wall
clock|wall-mounted clock|hanging clock; patio umbrella|garden umbrella|patio parasol; smart
thermostat|connected thermostat|wifi thermostat
"""

# Words that may stand for others, but have too many meanings to be replaced themselves.
AMBIGUOUS = frozenset(
    words("""
as by with in so right following say some much too since just use is about get do it further
more other way known below again rest case set leave open certain made hold terms thing over is
within existing ground like inside make including charge cause regulation support watch pad
flask tee shades weights scent runners trainers grill thing things
""")
)

# Sentences that do the same thing, whatever else they say: the first part finds them.
SENTENCES = (
    (
        r"is there anything else[^.?!\n]*\?"
        r"|(?:please )?let me know if (?:you need|there['’]s) anything else[^.?!\n]*[.!]"
        r"|if you (?:need|have) (?:any )?(?:further|more|other) (?:assistance|questions)"
        r"[^.?!\n]*[.!]",
        (
            "Is there anything else I can do for you?",
            "Can I do anything more for you today?",
            "Do you need anything further?",
            "Anything more I may help with?",
            "If something else comes up, just write.",
            "Should you have other questions, I am here.",
            "What else can I do for you?",
            "Please say so if more is needed.",
        ),
    ),
    (
        r"(?:thank you|thanks)(?: so much| a lot)? for (?:all )?(?:your|the) (?:help|assistance)"
        r"[^.?!\n]*[.!]",
        (
            "Thanks a lot for helping.",
            "I am grateful for the support.",
            "Your help is much appreciated.",
            "Thank you, that was very helpful!",
            "Many thanks for everything.",
            "Cheers for sorting this.",
            "I appreciate what you did.",
        ),
    ),
    (
        r"you['’]re (?:very )?welcome[^.?!\n]*[.!]",
        (
            "My pleasure.",
            "Glad to be of service.",
            "Any time.",
            "No trouble at all!",
            "Happy to have helped.",
            "It was no bother.",
        ),
    ),
    (
        r"have a (?:great|good|wonderful|nice)[^.?!\n]*[.!]|safe travels[^.?!\n]*[.!]",
        (
            "Enjoy the rest of your day!",
            "All the best!",
            "Take care!",
            "Wishing you a pleasant day.",
            "Goodbye for now.",
            "Bye and take care.",
        ),
    ),
    (
        r"(?:hi|hello)! how can i help you today\?",
        (
            "Hello! How may I help?",
            "Welcome! What can I do for you?",
            "Good day! What brings you here?",
            "Hi there, how can I be of service?",
            "Hello, what may I do for you today?",
        ),
    ),
    (
        r"(?:please )?(?:reply|respond|confirm)[^.?!\n]{0,40}[\"“]?yes[\"”]?[^.?!\n]{0,30}[.!]",
        (
            "Please answer yes if I may do so.",
            "Say yes and I will do it.",
            "A plain yes is all I need to go on.",
            "Kindly reply with yes if you agree.",
            "If that is right, just write yes.",
        ),
    ),
    (
        r"(?:could|can|would) you (?:please )?(?:provide|share|give me|tell me)(?: me)?(?: with)?"
        r" your user id[^.?!\n]*\?",
        (
            "What is your user id?",
            "May I have your user id?",
            "Which user id do you have?",
            "Would you tell me the id of your user account?",
            "Please type your user id, would you?",
        ),
    ),
)

OPENINGS = {
    "user": ("", "", "", "Okay. ", "Alright. ", "Right, so: ", "Well. ", "Hm. ", "Good. "),
    "agent": ("", "", "", "Certainly. ", "Of course. ", "Very well. ", "Noted. ", "Got it. "),
}
CLOSINGS = {
    "user": ("", "", "", " Thanks!", " Thank you.", " Cheers.", " Much appreciated."),
    "agent": ("", "", "", "", " Take your time.", " I am here for you.", " Just write back."),
}

# Pairs of a user's and an agent's turn that change nothing.
SMALL_TALK = (
    ("One moment, please.", "Of course, take your time."),
    ("Give me a second, my phone is ringing.", "No hurry at all."),
    ("Are you still there?", "Yes, I am with you."),
    ("Sorry, I had to step away for a minute.", "That is fine, I am still here."),
    ("Hang on, the connection is slow here.", "No problem, I will wait."),
    ("Bear with me, I am looking for my glasses.", "Sure, there is no rush."),
    ("I hope your day is going well.", "It is, thank you. I hope yours is too."),
    ("Just so you know, I am on the train.", "Thank you for telling me. Write at any time."),
    ("I was reading this on a small screen, sorry for the typos.", "Not at all, it is easy to read."),
    ("Let me grab a pen.", "Please do, I will wait."),
    ("My cat just walked over the keyboard.", "That happens. Go on whenever you are ready."),
    ("Let me think for a moment.", "Of course."),
)  # fmt: skip


def groups_of(table: str) -> list[tuple[str, ...]]:
    """The groups of a table: separated by semicolons, their members by bars."""
    one_line = " ".join(table.split())
    return [tuple(group.strip().split("|")) for group in one_line.split(";") if group.strip()]


GROUPS = groups_of(";".join((PHRASES, CONTRACTIONS)))
PRODUCT_GROUPS = groups_of(PRODUCTS)


def phrase_index(groups: list[tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The alternatives of each phrase: those of the first group that has it."""
    index: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for phrase in set(group) - AMBIGUOUS:
            index.setdefault(phrase, group)
    return index


PHRASE_INDEX = phrase_index([*GROUPS, *PRODUCT_GROUPS])
PRODUCT_INDEX = phrase_index(PRODUCT_GROUPS)


def phrase_pattern(phrases: dict[str, tuple[str, ...]]) -> str:
    """A pattern of all phrases, the longest first; an apostrophe may be straight or curly."""
    longest_first = sorted(phrases, key=len, reverse=True)
    words = "|".join(re.escape(phrase).replace("'", "['’]") for phrase in longest_first)
    return rf"(?<![\w#/’'-])(?:{words})(?![\w’'-])"
