"""Some two hundred texts that want to be more than text. Whatever of them executes sets ``window.pwned``."""

MARKUP = (
    "<script>pwned=1</script>", "<img src=x onerror=pwned=1>", "<svg onload=pwned=1>", "<svg/onload=pwned=1//",
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>", "<body onload=pwned=1>",
    "<details open ontoggle=pwned=1>", "<a href='javascript:pwned=1'>x</a>", "<input autofocus onfocus=pwned=1>",
    "<form action=//evil.example><button>Approve</button></form>", "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example/'>", "<style>*{display:none!important}</style>",
    "<link rel=stylesheet href=//evil.example/x.css>", "<object data='javascript:pwned=1'></object>",
    "<video><source onerror=pwned=1></video>", "<math><mtext><table><mglyph><style><img src=x onerror=pwned=1>",
    "<noscript><p title='</noscript><img src=x onerror=pwned=1>'>", "<template><script>pwned=1</script></template>",
    "</title><script>pwned=1</script>", "</script><script>pwned=1</script>", "<plaintext>", "<!--", "<![CDATA[",
    "</pre></li></ol></main><h1>other</h1>", "</textarea><script>pwned=1</script>", "<dialog open>OK</dialog>",
    "<xmp><img src=x onerror=pwned=1></xmp>",
)  # fmt: skip
WRAPPERS = ("{}", "\"'>{}", "{}\x00<b>", "<<{}>>", "\x1b[31m{}\x1b[0m")
OTHERS = (
    '" onmouseover="pwned=1', "' autofocus onfocus='pwned=1", "`onclick=pwned=1", "javascript:pwned=1",
    "JaVaScRiPt:pwned=1", "java\tscript:pwned=1", "data:text/html,<script>pwned=1</script>", "vbscript:pwned",
    "//evil.example/x", "&lt;script&gt;pwned=1&lt;/script&gt;", "&#x3C;script&#x3E;", "\\u003cscript\\u003e",
    "%3Cscript%3Epwned=1%3C/script%3E", "{{7*7}}", "{{ ''.__class__.__mro__ }}", "{% raw %}", "{# gone #}", "${7*7}",
    "#{7*7}", "<%= 7*7 %>", "*{7*7}", "{{constructor.constructor('pwned=1')()}}", "\x1b[2J\x1b[1;1H",
    "\x1b]0;title\x07", "\x1b]8;;javascript:pwned=1\x1b\\x\x1b]8;;\x1b\\", "\x9b31m",
    "\x00", "a\x00b", "\x07\x08\x0b\x0c",
    "\x7f", "one\rtwo", "\u202eesrever", "\u2066isolated\u2069", "\u200bzero\u200bwidth",
    "\u2028line\u2029separators",
    "user\u202e \u2066// admin\u2069 \u2066", "\U000e0041\U000e0042", "\ufeffmark",
    "e" + "\u0301" * 400, "\u0e49" * 300,
    "W" * 3000, "\ufdfd" * 300, "x" * 9000, "👩‍👩‍👧‍👦" * 200, "🏳️‍🌈", "שלום abc עולם 123",
    "\u3000", "a\n\n\n\nb", "\t\t\tx",
    "data: {}\n\nevent: status\ndata: {\"over\": true}\n\n", "id: 999999", "retry: 1", ": comment",
    '{"sequence": 99999}', "__proto__", "[x](javascript:pwned=1)", "![x](//evil.example/x.png)", "```", "# heading",
    "diff --git a/x b/x", "@@ -1,3 +1,3 @@", "--- a/calc.py", "+++ b/calc.py", "GIT binary patch", "\\ No newline",
    "-----BEGIN", "../../etc/passwd", "CON", "NaN", "null", "😀\ud7ff",
)  # fmt: skip

TEXTS = (*(wrapper.format(markup) for markup in MARKUP for wrapper in WRAPPERS), *OTHERS)
