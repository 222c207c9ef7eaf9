"""How the doctor's page looks: one style sheet, for light and dark and for narrow screens."""

from typing import Final

CSS: Final = """
:root { color-scheme: light dark; --paper: #f6f6f3; --card: #fff; --ink: #1d1f22; --soft: #646b73; --line: #dfe1e0;
  --error: #b3261e; --warning: #8a5a00; --note: #235ea8; --good: #1f7a43;
  --red: #d0433b; --green: #2f9150; --blue: #3f74d1; }
@media (prefers-color-scheme: dark) { :root { --paper: #141618; --card: #1d2023; --ink: #e7e8e6; --soft: #9aa2aa;
  --line: #33383d; --error: #ff8a80; --warning: #f0b95a; --note: #8ab8f5; --good: #74cf98;
  --red: #f0827b; --green: #74cf98; --blue: #86aef2; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 56px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 36px 0 10px; }
p { margin: 4px 0 12px; max-width: 76ch; }
.soft { color: var(--soft); }
.path { font: 13px/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.verdict { display: inline-block; margin: 12px 0 0; padding: 5px 13px; border-radius: 999px; font-weight: 600;
  border: 1.5px solid currentColor; }
.error { color: var(--error); } .warning { color: var(--warning); } .note { color: var(--note); }
.good { color: var(--good); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(118px, 1fr)); gap: 10px; margin: 20px 0 0; }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tile { padding: 10px 14px; } .tile b { display: block; font-size: 23px; line-height: 1.25; font-weight: 650; }
.tile span { color: var(--soft); font-size: 13px; }
.card { overflow: hidden; }
details + details { border-top: 1px solid var(--line); }
summary { cursor: pointer; padding: 10px 14px; display: flex; gap: 12px; align-items: baseline; }
summary::-webkit-details-marker { display: none; }
summary::before { content: "\\25B8"; color: var(--soft); } details[open] > summary::before { content: "\\25BE"; }
summary .kind { flex: 1; } summary .label { font-weight: 600; min-width: 68px; }
summary .count { font-variant-numeric: tabular-nums; color: var(--soft); }
details ul { margin: 0; padding: 0 14px 12px 42px; } details li { margin: 0 0 7px; } details li span { display: block; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 7px 14px; border-top: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; font-size: 13px; border-top: 0; }
th:first-child, td:first-child { text-align: left; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); gap: 14px; }
figure { margin: 0; } .charts figure { padding: 12px 14px 8px; }
.charts figcaption { margin-bottom: 4px; font-weight: 600; overflow-wrap: anywhere; }
.charts figcaption span { font-weight: 400; }
svg { display: block; width: 100%; height: auto; }
svg path { fill: none; stroke-width: 1.8; stroke-linejoin: round; } svg .grid { stroke: var(--line); stroke-width: 1; }
svg .srgb { stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 4 3; }
svg text { fill: var(--soft); font-size: 10.5px; }
.c0 { stroke: var(--red); } .c1 { stroke: var(--green); } .c2 { stroke: var(--blue); }
.scene { padding: 13px 14px; margin: 0 0 12px; }
.scene h3 { font-size: 15px; margin: 0 0 2px; overflow-wrap: anywhere; }
.strip { display: flex; gap: 8px; overflow-x: auto; padding: 8px 0 4px; }
.strip figure { flex: none; } .strip img { display: block; height: 128px; border-radius: 5px; background: #000; }
.strip figcaption { font-size: 12px; color: var(--soft); margin-top: 2px; }
.scene ul { margin: 4px 0 0; padding-left: 18px; font-size: 14px; }
@media (max-width: 600px) { main { padding: 20px 13px 40px; } h1 { font-size: 22px; } .strip img { height: 96px; }
  th, td { padding: 6px 9px; } td:first-child { white-space: normal; } }
"""
