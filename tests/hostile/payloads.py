"""Names that mean something to HTML, Markdown, Plotly, LaTeX or a spreadsheet.

Each holds ``pwnedN``; what any of them makes on a page can be found by that.
"""

from __future__ import annotations

_DRESSES = (
    "<b data-pwned>pwned{n}</b>",
    "<script>window.pwned={n}</script>pwned{n}",
    '<img src=x onerror="window.pwned={n}" data-pwned>pwned{n}',
    '"><svg onload=window.pwned={n} data-pwned>pwned{n}',
    "<iframe srcdoc='<script>parent.pwned={n}</script>' data-pwned></iframe>pwned{n}",
    "**pwned{n}**",
    "_pwned{n}_ __pwned{n}__",
    "[pwned{n}](javascript:window.pwned={n})",
    "![pwned{n}](http://127.0.0.1:9/pwned{n}.png)",
    "<a href='javascript:window.pwned={n}' data-pwned>pwned{n}</a>",
    "`pwned{n}`",
    "# pwned{n}",
    "$\\frac{{pwned{n}}}{{2}}$",
    ":red[pwned{n}] :smile:",
    ":material/bolt: pwned{n}",
    "&lt;b&gt;pwned{n}&lt;/b&gt;",
    "<style>body{{display:none}}</style>pwned{n}",
    "<!-- pwned{n}",
    "</div></section><h1 data-pwned>pwned{n}",
    "' onmouseover='window.pwned={n}' data-pwned='pwned{n}",
    "<br data-pwned>pwned{n}",
    "%{{x}}<extra>pwned{n}</extra>",
    "<sup data-pwned>pwned{n}</sup>",
    "<form action=//127.0.0.1:9 data-pwned><input name=pwned{n}></form>",
    "javascript:window.pwned={n}//pwned{n}",
    "~~pwned{n}~~",
    "www.pwned{n}.example",
    '=HYPERLINK("http://127.0.0.1:9","pwned{n}")',
    "{{{{pwned{n}}}}} ${{pwned{n}}}",
    "<math><mtext><b data-pwned>pwned{n}",
)


def payloads(count: int = len(_DRESSES)) -> list[str]:
    """Names, each with a number of its own.

    Args:
        count: How many; they come around again after thirty.
    """
    return [_DRESSES[n % len(_DRESSES)].format(n=n) for n in range(count)]
