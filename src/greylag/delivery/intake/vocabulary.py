"""Vocabulary: the words that intake knows, in English, German, French and Spanish. Everything here is lower case."""

import re

_FLAGS = re.IGNORECASE


def _any(patterns: str) -> str:
    """Return one pattern for any of ``patterns``, which stand apart by white space; ``_`` is a blank in one of them."""
    return "(?:" + "|".join(each.replace("_", " ") for each in patterns.split()) + ")"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: What a message may begin with before it says anything: greetings, politeness, and who shall do it.
LEAD = re.compile(
    r"\W*(?:"
    + _any(
        r"""
        hey hi hello hallo moin bonjour salut hola good_morning guten_(?:morgen|tag) team all @[\w.-]+ greylag please
        pls plz bitte s'il_(?:te|vous)_pla[iî]t stp svp por_favor merci
        (?:can|could|would|will)_(?:you|u|we|someone|somebody|anyone|anybody|the_agent|an_agent)
        k[aö]nnt?e?s?t?_(?:du|ihr|wir) tu_peux peux-tu pouvez-vous vous_pouvez puedes podr[ií]as now ok okay so and then
        also just quickly kindly mal let'?s i_(?:need|want)_you_to i'?d_like_you_to time_to go_ahead_and thanks thx
        danke gracias yes yep und et y it_is_time_to we_(?:need|have|want)_to
        """
    )
    + r"(?![\w'-])\W*)+",
    _FLAGS,
)

STOP = re.compile(
    _any(
        r"""
        stop cancel abort halt never_?mind forget_(?:it|that|about_it) stopp abbrechen brich_ab lass_gut_sein
        arr[eê]te[zr]? annule[zr]? laisse_tomber para cancela detente basta d[eé]jalo
        """
    )
    + r"(?:\W+"
    + _any(
        r"""
        it that this everything all the_task the_work work working now please pls bitte alles das sofort tout [cç]a stp
        svp todo eso por_favor thanks thx danke
        """
    )
    + r")*\W*",
    _FLAGS,
)

_PRODUCTION = _any(
    r"live deployed released shipped (?:in|on)_(?:prod|production|staging) en_(?:ligne|prod|production|producci[oó]n)"
)
_BETWEEN = r"(?:\s+(?:is|are|currently|now|right|actually|running|runs|the|our|we|have|got|at|moment))*\s+"
STATUS = re.compile(
    rf"(?:what(?:'s|s)?{_BETWEEN}{_PRODUCTION}\b"
    rf"|which (?:version|build|release|commit)\b[^.?!\n]{{0,60}}\b{_PRODUCTION}\b)|"
    + _any(
        r"""
        (?:is|are)\b[^.?!\n]{1,80}\b(?:live|deployed|released|shipped|out)(?:\s+(?:yet|already|in_[\w.-]+))*\W*$
        status(?:\s+(?:of|on|for|please|update|report|bitte)\b[^.?!\n]*|[_]?[?!.]*)$ stand_der_dinge state_of_play
        what_(?:version|build)_of\b what_are_you_(?:doing|working_on|up_to) what_do_you_do_right_now
        how_far_(?:are_you|along) how(?:'s|_is)_it_going any_(?:news|updates?|progress)
        are_you_(?:done|ready|finished|still_(?:on|at|there)) progress\W*$ eta\b what_can_you_do what_do_you_do
        who_are_you was_ist\b[^.?!\n]{0,40}\blive\b was_l[aä]uft_(?:gerade|in_prod) woran_arbeitest wie_weit_bist
        was_machst_du was_kannst_du o[uù]_en_(?:es-tu|es_tu|est|sommes)
        qu'est-ce_qui_(?:est|tourne)\b[^.?!\n]{0,40}\b(?:ligne|prod) que_fais-tu sur_quoi_(?:tu_)?travailles
        qu[eé]_(?:hay|est[aá])\b[^.?!\n]{0,40}\bproducci en_qu[eé]_(?:est[aá]s|trabajas) qu[eé]_est[aá]s_haciendo
        """
    ),
    _FLAGS,
)

#: Which of these ask for what is live, and which for what can be asked.
LIVE = re.compile(rf"\b(?:{_PRODUCTION}|version|l[aä]uft (?:gerade|in prod)|ligne|prod|producci[oó]n|out)\b", _FLAGS)
ABILITIES = re.compile(r"what can you do|what do you do\W*$|who are you|was kannst du", _FLAGS)

#: After a word that is a noun as well as a verb, these say that it was the noun: "release notes", "the deploy fails".
_NOUN_AFTER = (
    r"(?!\s+"
    + _any(
        """
        notes? badge button script pipeline page workflow process job branch date checklist plan tag pr step command is
        was does fails? failed doesn has will address knopf seite
        """
    )
    + r"\b)"
)
ROLL_BACK = re.compile(
    _any(
        r"""
        roll[_-]?back roll_(?:it|that|this|[\w.-]+|the_[\w.-]+)_back
        revert_(?:the_|our_)?(?:prod(?:uction)?|staging|release|deploy\w*) zur[uü]ckrollen
        rolle?\b[^.?!\n]{0,60}\bzur[uü]ck reviens_[aà]_la_version vuelve_a_la_versi[oó]n
        (?:bring|put)_back_the_(?:last|previous|old|former)_(?:version|release|build)
        """
    )
    + _NOUN_AFTER,
    _FLAGS,
)

RELEASE = re.compile(
    _any(
        r"""
        (?:re-?)?(?:ship|release|deploy|publish|promote) roll(?:[_-]?out|_(?:it|that|this|[\w.-]+)_out) go_live
        make_(?:it|[\w.-]+)_live
        (?:bring|put|get|push|move)\b[^.?!\n]{0,60}\b(?:live|out|to_(?:prod(?:uction)?|staging|testers|users|customers|the_store))
        ver[oö]ffentliche d[eé]ploie[zr]? mets?\b[^.?!\n]{0,60}\ben_(?:prod(?:uction)?|ligne) publie[zr]? despliega
        publica lanza rolle?\b[^.?!\n]{0,60}\baus bringe?\b[^.?!\n]{0,60}\b(?:live|in_produktion)
        """
    )
    + r"\b"
    + _NOUN_AFTER,
    _FLAGS,
)
AS_IT_IS = re.compile(
    r"\b"
    + _any(
        r"""
        as_(?:it|she)_(?:is|stands) current_(?:main|version|state) what(?:'s|_is)_on_main so_wie_es_ist tel_quel
        """
    )
    + r"\b",
    _FLAGS,
)

FIX = re.compile(
    _any(
        r"""
        (?:bug|hot)?fix(?:es|en|t)? repair correct mend resolve solve debug patch stop prevent avoid investigate
        look_(?:into|at) check handle revert undo restore don'?t take_care find_out_why behebe?n? reparier\w*
        korrigier\w* verhinder\w* corrige[rz]? r[eé]pare[rz]? emp[eê]che\w* arregl\w+ soluciona\w* repara\w* evita\w*
        get_us_onto_a_fixed sort_(?:this|that|it)_out
        """
    )
    + r"(?![\w-])",
    _FLAGS,
)
FEATURE = re.compile(
    _any(  # noqa: S608 - these are words, no statement
        r"""
        add build create implement introduce support make allow enable disable let show display hide change rename
        update upgrade downgrade bump pin refactor rewrite remove delete drop replace swap use move extract split merge
        increase decrease reduce raise lower set turn document write translate migrate convert port sort log cache clean
        improve optimi[sz]e extend switch generate send store track record expose integrate include give have put limit
        round f[uü]ge?\b baue?n? erg[aä]nze\w* [aä]nder\w* erstell\w* entfern\w* zeig\w* mach\w* benenn\w* ersetz\w*
        (?:r)?ajoute[rz]? cr[eé]e[rz]? change[rz]? supprime[rz]? affiche[rz]? remplace[rz]? traduis\w* renomme[rz]?
        a[nñ]ad\w+ agreg\w+ crea\w* cambia\w* elimina\w* muestra\w* quita\w* traduc\w* haz
        """
    )
    + r"(?![\w-])",
    _FLAGS,
)
#: Verbs stand last in German: "bitte in der Rechnung die Nummer ausgeben".
LAST_VERB = re.compile(
    r"\b(?:(?P<fix>beheben|reparieren|korrigieren|fixen|verhindern)"
    r"|(?P<release>ausrollen|ausliefern|deployen|releasen|ver[oö]ffentlichen|live stellen|freigeben)"
    r"|(?P<feature>erg[aä]nzen|hinzuf[uü]gen|ausgeben|einbauen|[aä]ndern|anzeigen|entfernen|umbenennen|heben|bauen"
    r"|umsetzen|einf[uü]hren|ersetzen|[uü]bersetzen|aktualisieren|unterst[uü]tzen))\W*$",
    _FLAGS,
)
AND_FIX = re.compile(
    r"\b(?:and|then|und|et|y)\s+(?:please\s+)?(?:fix|mend|repair|correct|behebe|corrige|arregla)\w*\b", _FLAGS
)
QUESTION = re.compile(
    _any(
        r"""
        how what why where which when_(?:do|does|did|is|are|was|were|will|can) who whose whom does
        do_(?:we|you|i|they|our|the) did is are was were has have_(?:we|you|they) can_(?:i|it|a|an|the) will would
        should_(?:we|i) explain describe tell_(?:me|us) list_(?:all|every|the_places|where|which)
        show_me_(?:where|how|which|what|all) summari[sz]e count i_wonder i'?d_like_to_know find_out look_up
        check_(?:if|whether) any_idea wo wie warum wieso weshalb wann welche[rsnm]? wer was gibt_es erkl[aä]r\w* comment
        pourquoi o[uù] quel(?:le)?s? quand qui combien est-ce_que qu'est-ce expliqu\w+ c[oó]mo por_qu[eé] d[oó]nde
        cu[aá]l(?:es)? cu[aá]ndo qui[eé]n cu[aá]nt[oa]s? qu[eé] explica\w*
        """
    )
    + r"(?![\w-])",
    _FLAGS,
)
#: Said of what isn't there yet, whatever is told of what is.
CLEAR_WISH = re.compile(
    r"\b"
    + _any(
        r"""
        would_(?:like|love|be_(?:nice|great|good|cool)) should_be_possible feature_request could_(?:we|i)_have
        """
    )
    + r"\b"
    + r"|'d (?:like|love)\b",
    _FLAGS,
)
WISH = re.compile(
    r"\b"
    + _any(
        r"""
        would_(?:like|love|be_(?:nice|great|good|cool)) should_be_(?:able|possible) able_to i_want we_want we_need
        needs_(?:a|an|to) feature_request could_have shall soll(?:te|ten|en)? m[oö]chten? w[uü]nsch\w* voudrai\w*
        aimerai\w* il_faudrait quisi[eé]ra\w* gustar[ií]a
        should_(?:follow|show|have|support|allow|also|get|answer|end|start)
        """
    )
    + r"\b"
    + r"|'d (?:like|love)\b",
    _FLAGS,
)
BUG = re.compile(
    r"\b"
    + _any(
        r"""
        broken bugs? crash\w* wrong fail(?:s|ed|ing|ure)? errors? exception rais(?:es|ed) throws? twice stuck doesn'?t
        does_not don'?t isn'?t can'?t cannot won'?t never instead_of hangs? freez\w+ blank lost los(?:es|ing)
        overlaps? leaks? flaky regress\w* incorrect duplicated? off_by_one nothing_happens typo still covers kaputt
        falsch\w* fehler\w* geht_nicht funktioniert_nicht springt st[uü]rzt marche_(?:pas|plus) plante erreur
        no_funciona no_hace roto falla cve-\d+ [45]\d\d missing lacks? forever again slow silently statt
        """
    )
    + r"\b",
    _FLAGS,
)
CAMPAIGN = re.compile(
    r"\b(?:all|every|each(?: of)?|alle[nr]?|s[aä]mtlichen|tou(?:s|tes) les|todos los|chaque|cada)\s+(?:of\s+)?"
    r"(?:(?:our|the|my|unsere[nr]?|der|die|nos|nuestros)\s+)?"
    r"(?:repos?|repositor\w+|services|codebases?|projects|d[eé]p[oô]ts?|repositorios?|projekten?|diensten?)\b"
    r"|\beverywhere\b|\b[uü]berall\b",
    _FLAGS,
)

#: What says nothing of what shall change: only together with one more word does a message say something.
FILLERS = _words(
    """
    a about above after again all alright also always am an and another any anybody anymore anyone anything app
    application are around as asap at attached attachment back bad be because been before being believe better big bit
    both bring broke broken bug bugs bugfix but by call can cannot cant check clean cleaner cleanup code come correct
    could course crash crashes crashing day did didnt different discussed do does doesnt doing done dont down each
    earlier easier either else error errors even ever every everybody everyone everything exactly fail failed failing
    fails faster feature feel few find fine first fix fixed fixes fixing for from get gets give go goes going gone
    good got great had handle has hasnt have havent having he hello help her here hey hi him his hm hmm hotfix how i
    id if im improve improved improvement in into is isnt issue issues it its ive just keep kind kindly know last
    later less let lets like little lol look looks looking lot lots love made make making many may maybe me mend mean
    means mentioned message might mine minute moment monday more morning most much must my near need needs never new
    news next nice nicer night no not nothing now of off oh ok okay old on once one ones only or other our out over
    own patch people perf performance please pls plz probably problem problems program project pull put quick quickly
    quite rather ready really repair repo repository resolve right said same say says see seems service shall she
    should since site so software solve some somebody someone something somehow soon sorry sort still strange stuff
    such sure system take talked tell test than thank thanks that thats the their them then there these they thing
    things think this those though thx time to today together told tomorrow too totally tried try ugly ui unit up
    update upgrade urgent urgently us use used user very via wanna want wants was way we weird well went were what
    whats when where which while who why will with within without wont work worked working works worse would wrong wtf
    yeah yes yesterday yet you your yo it's that's i'm we're don't doesn't isn't can't won't didn't hasn't haven't
    i've i'd let's what's there's you're they're der die das den dem des ein eine einen einem einer es ist sind war
    nicht kein keine mehr und oder aber bitte mal doch noch schon wieder geht gehen ging funktioniert funktionieren
    kaputt falsch fehler wie wo warum hier da dort ich du wir ihr sie mach mache machen besser schneller alles etwas
    irgendwas neu sache ding beheben behebe reparieren korrigieren fixen heute gestern kann kannst könntest danke für
    von mit auf zu hallo moin das's le la les un une de ce cet cette ces ça ca c'est est sont ne pas plus marche
    marchent rien tout quelque chose corrige corriger répare réparer problème et ou mais je tu il elle nous vous y en
    au aux pour avec s'il te plaît plait svp stp merci encore mieux peux pouvez bonjour salut el los las una unos unas
    esto eso esta este está estan están son funciona funcionan nada algo cosa arregla arreglar arréglalo arreglalo
    corregir fallo por favor porfa mejor más mas o pero tú él puedes gracias hola otra vez greylag
    """
)
#: Changing, adding and moving something: to what, or which, must be said as well.
NEEDS_VALUE = re.compile(
    _any(
        r"""
        change rename increase decrease reduce raise lower set replace swap adjust tweak resize [aä]ndere? ersetze?
        benenne remplace[rz]? renomme[rz]? cambia reemplaza
        """
    )
    + r"(?![\w-])",
    _FLAGS,
)
VALUE = re.compile(
    r"\b(?:to|into|by|with|from|as|auf|zu|durch|in|nach|en|[aà]|par|por|con|below|above|under|than|so that|every)\b"
    r"|\d|[=→#]",
    _FLAGS,
)
NEEDS_NAME = re.compile(
    r"(?:add|create|build|make|have|put|f[uü]ge|baue?|ajoute[rz]?|a[nñ]ade|agrega)\s+(?:me\s+|us\s+)?"
    r"(?:a|an|some|one|another|ein|eine|einen|un|une|una)\s+(?:new\s+|neuen?\s+)?"
    + _any(
        r"""
        button page field option setting feature endpoint column screen menu tab function knopf seite feld bouton
        champ bot[oó]n p[aá]gina campo
        """
    )
    + r"\W*$",
    _FLAGS,
)
