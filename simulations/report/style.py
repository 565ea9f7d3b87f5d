"""How the page looks: light, dark, on a phone, on paper."""

from __future__ import annotations

from typing import Final

from simulations.report.look import DARK, NAMES

_LIGHT_VARIABLES: Final = ";".join(f"--{name}:{colour}" for colour, name in NAMES.items())
_DARK_VARIABLES: Final = ";".join(f"--{name}:{DARK[colour]}" for colour, name in NAMES.items())

_RULES: Final = """
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--paper);color:var(--ink);font:400 1rem/1.6 var(--sans)}
main{max-width:50rem;margin:0 auto;padding:3.5rem 1.5rem 4rem}
main.several{max-width:76rem}
h1,h2,h3{line-height:1.2;text-wrap:balance;font-weight:650;letter-spacing:-.012em}
h1{font-size:2.1rem;margin:.35rem 0 .9rem;overflow-wrap:anywhere}
h2{font-size:1.4rem;margin:4rem 0 1rem;padding-top:1.1rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:2.4rem 0 .4rem}
p{margin:.6rem 0;max-width:44rem}
.eyebrow{margin:0;color:var(--muted);font-size:.82rem;letter-spacing:.04em}
.note{margin:.2rem 0 0;color:var(--muted);font-size:.82rem}
.asked p{color:var(--muted);font-size:1.06rem}
.found{padding:0;margin:0;list-style:none;max-width:46rem}
.found li{padding:.5rem 0 .5rem 1.5rem;position:relative}
.found li::before{content:"";position:absolute;left:.2rem;top:1.12rem;width:.5rem;height:.5rem;background:var(--ink);
transform:rotate(45deg)}
.found li:first-child{font-size:1.06rem}
.limits{padding-left:1.2rem;max-width:46rem}
.limits li{margin:.5rem 0}
.tiles{display:flex;flex-wrap:wrap;gap:1px;margin:2rem 0 1rem;padding:0;
background:var(--line);border:1px solid var(--line);border-radius:.6rem;overflow:hidden}
.tiles div{flex:1 1 8.2rem;background:var(--paper);padding:.85rem 1rem}
.tiles dt{color:var(--muted);font-size:.78rem;line-height:1.35}
.tiles dd{margin:.15rem 0 0;font-size:1.35rem;font-weight:600;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
nav{margin:1.5rem 0 0;font-size:.88rem;display:flex;flex-wrap:wrap;gap:.3rem 1.1rem}
a{color:inherit;text-decoration:underline;text-decoration-color:var(--muted);text-underline-offset:.18em;
text-decoration-thickness:1px}
a:hover{text-decoration-color:currentColor}
:focus-visible{outline:2px solid var(--h0);outline-offset:2px;border-radius:2px}
figure{margin:1rem 0 0;break-inside:avoid}
figcaption{color:var(--muted);font-size:.86rem;line-height:1.5;margin-top:.5rem;max-width:44rem}
figcaption .files{white-space:nowrap}
.side{display:grid;grid-template-columns:repeat(auto-fit,minmax(19rem,1fr));gap:1.5rem 2.5rem}
.side>*{min-width:0}
.side h4{margin:.4rem 0 .5rem;font-size:.9rem;font-weight:600;color:var(--muted);overflow-wrap:anywhere}
svg{display:block;width:100%;height:auto;font-family:var(--sans);stroke-linejoin:round}
svg.narrow{display:none;max-width:28rem}
.side svg.narrow{display:block;max-width:26rem}
.scroll{overflow-x:auto;margin:.7rem 0 0;border:1px solid var(--line);border-radius:.6rem}
.scroll.high{max-height:34rem;overflow-y:auto}
table{border-collapse:collapse;width:100%;font-size:.85rem;line-height:1.4;font-variant-numeric:tabular-nums}
th,td{padding:.42rem .7rem;text-align:left;vertical-align:baseline;border-top:1px solid var(--line);white-space:nowrap}
thead th{position:sticky;top:0;background:var(--shade);color:var(--muted);font-weight:500;border-top:0;font-size:.78rem}
tbody th{font-weight:500}
.right{text-align:right}
.text{min-width:14rem;white-space:normal;overflow-wrap:anywhere}
.none{color:var(--muted)}
code,pre{font:400 .84em/1.55 ui-monospace,"SF Mono","Cascadia Mono",Menlo,Consolas,"Liberation Mono",monospace}
code{overflow-wrap:anywhere}
td code{white-space:nowrap}
p code,li code{background:var(--shade);border-radius:.3rem;padding:.1em .35em}
pre{background:var(--shade);border-radius:.6rem;padding:1rem 1.2rem;overflow-x:auto;font-size:.8rem;margin:.7rem 0;
tab-size:4}
footer{margin-top:4rem;padding-top:1rem;border-top:1px solid var(--line);color:var(--muted);font-size:.82rem}
"""
_PHONE: Final = """
main{padding:1.6rem 1rem 3rem}
h1{font-size:1.6rem}
h2{font-size:1.25rem;margin-top:3rem}
svg.wide{display:none}
svg.narrow{display:block}
.tiles dd{font-size:1.15rem}
"""
_PAPER: Final = """
@page{margin:18mm 16mm}
body{font-size:10pt}
main,main.several{max-width:none;padding:0}
nav{display:none}
h2,h3{break-after:avoid}
tr,.tiles{break-inside:avoid}
.scroll,.scroll.high{overflow:visible;max-height:none;border-radius:0}
th,td{padding:.25rem .35rem}
table{font-size:7.5pt}
th,td{white-space:normal}
thead th{position:static}
pre{white-space:pre-wrap;overflow-wrap:anywhere}
"""


def css(drawings: str) -> str:
    """The page's only style sheet. drawings: the classes of its SVGs."""
    sans = 'Inter,"Segoe UI Variable Text",system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif'
    return (
        f":root{{{_LIGHT_VARIABLES};--sans:{sans}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_DARK_VARIABLES}}}}}\n"
        f"{drawings}{_RULES}@media screen and (max-width:44rem){{{_PHONE}}}\n@media print{{{_PAPER}}}\n"
    )
