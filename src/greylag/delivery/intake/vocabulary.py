"""Vocabulary: the words that intake knows, in English, German, French and Spanish. Everything here is lower case."""

import re

_FLAGS = re.IGNORECASE


def _any(*words: str) -> str:
    return "(?:" + "|".join(words) + ")"


#: What a message may begin with before it says anything: greetings, politeness, and who shall do it.
LEAD = re.compile(
    r"(?:\W*" + _any(
        "hey", "hi", "hello", "hallo", "moin", "bonjour", "salut", "hola", "good morning", "guten (?:morgen|tag)", "team", "all",
        "@[\\w.-]+", "greylag", "please", "pls", "plz", "bitte", "s'il (?:te|vous) pla[iî]t", "stp", "svp", "por favor", "merci",
        "(?:can|could|would|will) (?:you|u|we|someone|somebody|anyone|anybody|the agent|an agent)", "k[aö]nnt?e?s?t? (?:du|ihr|wir)",
        "tu peux", "peux-tu", "pouvez-vous", "vous pouvez", "puedes", "podr[ií]as", "now", "ok", "okay", "so", "and", "then",
        "also", "just", "quickly", "kindly", "mal", "let'?s", "i (?:need|want) you to", "i'?d like you to", "time to", "go ahead and",
        "thanks", "thx", "danke", "gracias", "yes", "yep", "und", "et", "y", "it is time to", "we (?:need|have|want) to",
    ) + r"(?![\w'-])\W*)+",
    _FLAGS,
)  # fmt: skip

STOP = re.compile(
    _any(
        "stop", "cancel", "abort", "halt", "never ?mind", "forget (?:it|that|about it)", "stopp", "abbrechen", "brich ab", "lass gut sein",
        "arr[eê]te[zr]?", "annule[zr]?", "laisse tomber", "para", "cancela", "detente", "basta", "d[eé]jalo",
    )
    + r"(?:\W+" + _any(
        "it", "that", "this", "everything", "all", "the task", "the work", "work", "working", "now", "please", "pls", "bitte", "alles",
        "das", "sofort", "tout", "[cç]a", "stp", "svp", "todo", "eso", "por favor", "thanks", "thx", "danke",
    ) + r")*\W*",
    _FLAGS,
)  # fmt: skip

_PRODUCTION = r"(?:live|deployed|released|in prod(?:uction)?|in staging|on staging|shipped|en ligne|en prod(?:uction)?|en producci[oó]n)"
STATUS = re.compile(
    _any(
        r"status(?:\s+(?:of|on|for|please|update|report|bitte)\b[^.?!\n]*|[ ]?[?!.]*)$", r"stand der dinge", r"state of play",
        r"what(?:'s|s| is| are| was| runs)?\b[^.?!\n]{0,60}\b" + _PRODUCTION + r"\b", r"(?:is|are)\b[^.?!\n]{1,80}\b" + _PRODUCTION
        + r"(?:\s+(?:yet|already|now|there|in [\w.-]+))*\s*\??$",
        r"which (?:version|build|release|commit)\b[^.?!\n]{0,60}\b" + _PRODUCTION, r"what (?:version|build) of\b",
        r"what are you (?:doing|working on|up to)", r"what do you do right now", r"how far (?:are you|along)", r"how(?:'s| is) it going",
        r"any (?:news|updates?|progress)", r"are you (?:done|ready|finished|still (?:on|at|there))", r"progress\W*$", r"eta\b",
        r"what can you do", r"what do you do", r"who are you", r"was ist\b[^.?!\n]{0,40}\blive\b", r"was l[aä]uft (?:gerade|in prod)",
        r"woran arbeitest", r"wie weit bist", r"was machst du", r"was kannst du", r"o[uù] en (?:es-tu|es tu|est|sommes)",
        r"qu'est-ce qui (?:est|tourne)\b[^.?!\n]{0,40}\b(?:ligne|prod)", r"que fais-tu", r"sur quoi (?:tu )?travailles",
        r"qu[eé] (?:hay|est[aá])\b[^.?!\n]{0,40}\bproducci", r"en qu[eé] (?:est[aá]s|trabajas)", r"qu[eé] est[aá]s haciendo",
    ),
    _FLAGS,
)  # fmt: skip

_NOUN_AFTER = (
    r"(?!\s+(?:notes?|badge|button|script|pipeline|page|workflow|process|job|branch|date|checklist|plan|tag|pr|step|command|is|was|does"
    r"|fails?|failed|doesn|has|will|address|knopf|seite)\b)"
)
ROLL_BACK = re.compile(
    _any(
        r"roll[ -]?back", r"roll (?:it|that|this|[\w.-]+|the [\w.-]+) back", r"revert (?:the |our )?(?:prod(?:uction)?|staging|release|deploy\w*)",
        r"zur[uü]ckrollen", r"rolle?\b[^.?!\n]{0,60}\bzur[uü]ck", r"reviens [aà] la version", r"vuelve a la versi[oó]n",
        r"(?:bring|put) back the (?:last|previous|old|former) (?:version|release|build)",
    ) + _NOUN_AFTER,
    _FLAGS,
)  # fmt: skip

RELEASE = re.compile(
    _any(
        r"(?:re-?)?(?:ship|release|deploy|publish|promote)", r"roll(?:[ -]?out| (?:it|that|this|[\w.-]+) out)", r"go live", r"make (?:it|[\w.-]+) live",
        r"(?:bring|put|get|push|move)\b[^.?!\n]{0,60}\b(?:live|out|to (?:prod(?:uction)?|staging|testers|users|customers|the store))",
        r"ver[oö]ffentliche", r"d[eé]ploie[zr]?", r"mets?\b[^.?!\n]{0,60}\ben (?:prod(?:uction)?|ligne)", r"publie[zr]?", r"despliega",
        r"publica", r"lanza", r"rolle?\b[^.?!\n]{0,60}\baus", r"bringe?\b[^.?!\n]{0,60}\b(?:live|in produktion)",
    ) + r"\b" + _NOUN_AFTER,
    _FLAGS,
)  # fmt: skip
AS_IT_IS = re.compile(
    r"\bas (?:it|she) (?:is|stands)\b|\bcurrent (?:main|version|state)\b|\bwhat(?:'s| is) on main\b|\bso wie es ist\b|\btel quel\b",
    _FLAGS,
)

FIX = re.compile(
    _any(
        "(?:bug|hot)?fix(?:es|en|t)?", "repair", "correct", "mend", "resolve", "solve", "debug", "patch", "stop", "prevent", "avoid",
        "investigate", "look (?:into|at)", "check", "handle", "revert", "undo", "restore", "don'?t", "take care", "find out why",
        "behebe?n?", "reparier\\w*", "korrigier\\w*", "verhinder\\w*", "corrige[rz]?", "r[eé]pare[rz]?", "emp[eê]che\\w*", "arregl\\w+",
        "soluciona\\w*", "repara\\w*", "evita\\w*", "get us onto a fixed", "sort (?:this|that|it) out",
    ) + r"(?![\w-])",
    _FLAGS,
)  # fmt: skip
FEATURE = re.compile(
    _any(
        "add", "build", "create", "implement", "introduce", "support", "make", "allow", "enable", "disable", "let", "show", "display", "hide",
        "change", "rename", "update", "upgrade", "downgrade", "bump", "pin", "refactor", "rewrite", "remove", "delete", "drop", "replace",
        "swap", "use", "move", "extract", "split", "merge", "increase", "decrease", "reduce", "raise", "lower", "set", "turn", "document",
        "write", "translate", "migrate", "convert", "port", "sort", "log", "cache", "clean", "improve", "optimi[sz]e", "extend", "switch",
        "generate", "send", "store", "track", "record", "expose", "integrate", "include", "give", "have", "put", "limit", "round",
        "f[uü]ge?\\b", "baue?n?", "erg[aä]nze\\w*", "[aä]nder\\w*", "erstell\\w*", "entfern\\w*", "zeig\\w*", "mach\\w*", "benenn\\w*", "ersetz\\w*",
        "(?:r)?ajoute[rz]?", "cr[eé]e[rz]?", "change[rz]?", "supprime[rz]?", "affiche[rz]?", "remplace[rz]?", "traduis\\w*", "renomme[rz]?",
        "a[nñ]ad\\w+", "agreg\\w+", "crea\\w*", "cambia\\w*", "elimina\\w*", "muestra\\w*", "quita\\w*", "traduc\\w*", "haz",
    ) + r"(?![\w-])",
    _FLAGS,
)  # fmt: skip
#: Verbs stand last in German: "bitte in der Rechnung die Nummer ausgeben".
LAST_VERB = re.compile(
    r"\b(?:(?P<fix>beheben|reparieren|korrigieren|fixen|verhindern)|(?P<release>ausrollen|ausliefern|deployen|releasen|ver[oö]ffentlichen"
    r"|live stellen|freigeben)|(?P<feature>erg[aä]nzen|hinzuf[uü]gen|ausgeben|einbauen|[aä]ndern|anzeigen|entfernen|umbenennen|heben|bauen"
    r"|umsetzen|einf[uü]hren|ersetzen|[uü]bersetzen|aktualisieren|unterst[uü]tzen))\W*$",
    _FLAGS,
)
AND_FIX = re.compile(r"\b(?:and|then|und|et|y)\s+(?:please\s+)?(?:fix|mend|repair|correct|behebe|corrige|arregla)\w*\b", _FLAGS)
QUESTION = re.compile(
    _any(
        "how", "what", "why", "where", "which", "when", "who", "whose", "whom", "does", "do (?:we|you|i|they|our|the)", "did", "is", "are", "was",
        "were", "has", "have (?:we|you|they)", "can (?:i|it|a|an|the)", "will", "would", "should (?:we|i)", "explain", "describe", "tell (?:me|us)",
        "list (?:all|every|the places|where|which)", "show me (?:where|how|which|what|all)", "summari[sz]e", "count", "i wonder", "i'?d like to know",
        "find out", "look up", "check (?:if|whether)", "any idea", "wo", "wie", "warum", "wieso", "weshalb", "wann", "welche[rsnm]?", "wer",
        "was", "gibt es", "erkl[aä]r\\w*", "comment", "pourquoi", "o[uù]", "quel(?:le)?s?", "quand", "qui", "combien", "est-ce que", "qu'est-ce",
        "expliqu\\w+", "c[oó]mo", "por qu[eé]", "d[oó]nde", "cu[aá]l(?:es)?", "cu[aá]ndo", "qui[eé]n", "cu[aá]nt[oa]s?", "qu[eé]", "explica\\w*",
    ) + r"(?![\w-])",
    _FLAGS,
)  # fmt: skip
WISH = re.compile(
    r"\b(?:would (?:like|love|be (?:nice|great|good|cool))|'d (?:like|love)|should be (?:able|possible)|able to|i want|we want|we need|needs (?:a|an|to)\b"
    r"|feature request|could have|it should be possible|shall|soll(?:te|ten|en)?|m[oö]chten?|w[uü]nsch\w*|voudrai\w*|aimerai\w*|il faudrait"
    r"|quisi[eé]ra\w*|gustar[ií]a|should (?:follow|show|have|support|allow|also|get|answer|end|start))\b",
    _FLAGS,
)
BUG = re.compile(
    r"\b(?:broken|bugs?|crash\w*|wrong|fail(?:s|ed|ing|ure)?|errors?|exception|rais(?:es|ed)|throws?|twice|stuck|doesn'?t|does not|don'?t|isn'?t"
    r"|can'?t|cannot|won'?t|never|instead of|hangs?|freez\w+|blank|lost|los(?:es|ing)|overlaps?|leaks?|flaky|regress\w*|incorrect"
    r"|duplicated?|off by one|nothing happens|typo|still|covers|kaputt|falsch\w*|fehler\w*|geht nicht|funktioniert nicht|springt|st[uü]rzt"
    r"|marche (?:pas|plus)|plante|erreur|no funciona|no hace|roto|falla|cve-\d+|[45]\d\d|missing|lacks?|forever|again|slow|silently|statt)\b",
    _FLAGS,
)
CAMPAIGN = re.compile(
    r"\b(?:all|every|each(?: of)?|alle[nr]?|s[aä]mtlichen|tou(?:s|tes) les|todos los|chaque|cada)\s+(?:of\s+)?"
    r"(?:(?:our|the|my|unsere[nr]?|der|die|nos|nuestros)\s+)?"
    r"(?:repos?|repositor\w+|services|codebases?|projects|d[eé]p[oô]ts?|repositorios?|projekten?|diensten?)\b|\beverywhere\b|\b[uü]berall\b",
    _FLAGS,
)

#: What says nothing of what shall change: only together with one more word does a message say something.
FILLERS = frozenset(
    """
    a about above after again all alright also always am an and another any anybody anymore anyone anything app application are around as asap
    at attached attachment back bad be because been before being believe better big bit both bring broke broken bug bugs bugfix but by call can
    cannot cant check clean cleaner cleanup code come correct could course crash crashes crashing day did didnt different discussed do does
    doesnt doing done dont down each earlier easier either else error errors even ever every everybody everyone everything exactly fail failed
    failing fails faster feature feel few find fine first fix fixed fixes fixing for from get gets give go goes going gone good got great had
    handle has hasnt have havent having he hello help her here hey hi him his hm hmm hotfix how i id if im improve improved improvement in into
    is isnt issue issues it its ive just keep kind kindly know last later less let lets like little lol look looks looking lot lots love made
    make making many may maybe me mend mentioned message might mine minute moment monday more morning most much must my near need needs never new
    news next nice nicer night no not nothing now of off oh ok okay old on once one ones only or other our out over own patch people perf
    performance please pls plz probably problem problems program project pull put quick quickly quite rather ready really repair repo repository
    resolve right said same say says see seems service shall she should site so software solve some somebody someone something somehow soon
    sorry sort still strange stuff such sure system take talked tell test than thank thanks that thats the their them then there these they
    thing things think this those though thx time to today together told tomorrow too totally tried try ugly ui unit up update upgrade
    urgent urgently us use used user very via wanna want wants was way we weird well went were what whats when where which while who why will
    with within without wont work worked working works worse would wrong wtf yeah yes yesterday yet you your yo it's that's i'm we're don't
    doesn't isn't can't won't didn't hasn't haven't i've i'd let's what's there's you're they're
    der die das den dem des ein eine einen einem einer es ist sind war nicht kein keine mehr und oder aber bitte mal doch noch schon wieder
    geht gehen ging funktioniert funktionieren kaputt falsch fehler problem was wie wo warum hier da dort ich du wir ihr sie mach mache machen
    besser schneller alles etwas irgendwas neu sache ding beheben behebe reparieren korrigieren fixen heute gestern kann kannst könntest danke
    für von mit auf in im an zu hallo moin das's
    le la les un une des du de ce cet cette ces ça ca c'est est sont ne pas plus marche marchent rien tout quelque chose corrige corriger répare
    réparer bug problème et ou mais on je tu il elle nous vous y a en au aux pour avec s'il te plaît plait svp stp merci encore mieux peux
    pouvez bonjour salut
    el los las una unos unas esto eso esta este está estan están es son no funciona funcionan nada algo cosa arregla arreglar arréglalo arreglalo
    corrige corregir error fallo por favor porfa mejor más mas y o pero yo tú él puedes gracias hola otra vez
    """.split()
)
#: Changing, adding and moving something: to what, or which, must be said as well.
NEEDS_VALUE = re.compile(
    r"(?:change|rename|increase|decrease|reduce|raise|lower|set|replace|swap|adjust|tweak|resize|[aä]ndere?|ersetze?|benenne|remplace[rz]?"
    r"|renomme[rz]?|cambia|reemplaza)(?![\w-])",
    _FLAGS,
)
VALUE = re.compile(
    r"\b(?:to|into|by|with|from|as|auf|zu|durch|in|nach|en|[aà]|par|por|con|below|above|under|than|so that|every)\b|\d|[=→#]", _FLAGS
)
NEEDS_NAME = re.compile(
    r"(?:add|create|build|make|have|put|f[uü]ge|baue?|ajoute[rz]?|a[nñ]ade|agrega)\s+(?:me\s+|us\s+)?(?:a|an|some|one|another|ein|eine|einen|un|une|una)"
    r"\s+(?:new\s+|neuen?\s+)?(?:button|page|field|option|setting|feature|endpoint|column|screen|menu|tab|function|knopf|seite|feld|bouton"
    r"|champ|bot[oó]n|p[aá]gina|campo)\W*$",
    _FLAGS,
)
