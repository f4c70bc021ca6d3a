// The style sheet. Colours are names with a value for the light and one for the dark scheme; print is always light.
//
// Blue means better, orange worse or a limit; both were picked to differ in lightness too and have a contrast of at least
// 4.5 to 1 as text. The two ramps have eight steps of one hue each, dark on paper and bright on black for what is more.
#include "search/report/sections.h"

namespace tailor::search::report {

// Page and text; tables and figures; marks of drawings, maps, narrow screens, paper.
static constexpr std::string_view sheet =
    R"(
:root { color-scheme: light dark;
  --paper: #fff; --panel: #f4f6f8; --ink: #1b1e24; --soft: #5a606b; --rule: #d7dbe1; --grid: #e8ebef;
  --better: #0b5fa5; --worse: #b0460a; --bar: #9aa5b4; --chosen: #0b5fa5; --tint: #eaf3fb; --beyond: #b0460a14;
  --b0: #eaf2fa; --b1: #d0e2f3; --b2: #aecdea; --b3: #83b2dc; --b4: #5594cb; --b5: #2a6fac; --b6: #165a98; --b7: #073d6f;
  --s0: #fdf1e5; --s1: #fadcbf; --s2: #f5c192; --s3: #ec9f60; --s4: #dc7d35; --s5: #b35713; --s6: #8f4209; --s7: #672d05;
  --low-text: #1b1e24; --high-text: #fff; --middle-text: #1b1e24; }
@media screen and (prefers-color-scheme: dark) { :root {
  --paper: #14171c; --panel: #1d2128; --ink: #e9ebef; --soft: #a6adb9; --rule: #373d47; --grid: #272c34;
  --better: #74baf5; --worse: #f2a65e; --bar: #667182; --chosen: #74baf5; --tint: #1b2c3d; --beyond: #f2a65e1c;
  --b0: #17293a; --b1: #1b3852; --b2: #204b70; --b3: #265d8d; --b4: #2f6fa8; --b5: #5a98d0; --b6: #84b5e2; --b7: #b8d6f0;
  --s0: #2e2117; --s1: #46301e; --s2: #623f22; --s3: #7e5027; --s4: #9a602a; --s5: #cb8645; --s6: #e4a86f; --s7: #f6cfa8;
  --low-text: #eef1f5; --high-text: #14171c; --middle-text: #fff; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
  "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 1160px; margin: 0 auto; padding: 40px 32px 8px; }
footer { max-width: 1160px; margin: 0 auto; padding: 16px 32px 40px; color: var(--soft); font-size: 13px; }
section { margin-top: 52px; }
h1 { margin: 4px 0 12px; font-size: clamp(22px, 3.4vw, 34px); line-height: 1.2; letter-spacing: -0.01em; text-wrap: balance;
  overflow-wrap: break-word; }
h2 { margin: 0 0 8px; padding-top: 14px; border-top: 2px solid var(--ink); font-size: 21px; line-height: 1.3; }
h3 { margin: 24px 0 6px; font-size: 15px; }
p { margin: 0; overflow-wrap: break-word; }
.kicker { color: var(--soft); font-weight: 600; }
.verdict { font-weight: 600; }
.decision { max-width: 75ch; margin-top: 6px; }
.note { max-width: 80ch; margin: 0 0 16px; color: var(--soft); }
.small { display: block; color: var(--soft); font-size: 12.5px; line-height: 1.4; font-weight: 400; }
.better, .small.better { color: var(--better); }
.worse, .small.worse { color: var(--worse); }
.missing { color: var(--soft); }
.code, code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 12.5px;
  overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin-top: 24px; }
.tile { padding: 14px 16px; background: var(--panel); border-radius: 8px; break-inside: avoid; }
.figure { font-size: 25px; font-weight: 650; line-height: 1.3; letter-spacing: -0.01em; }
.meter { display: block; width: 100%; height: 6px; margin: 8px 0 4px; }
.track { fill: var(--rule); } .used { fill: var(--better); } .over { fill: var(--worse); }
)"
    R"(
.scroll { overflow-x: auto; margin: 0 -8px; padding: 0 8px; }
table { border-collapse: collapse; }
caption { padding: 0 0 8px; color: var(--soft); font-size: 13px; text-align: left; }
th, td { padding: 6px 12px; border-bottom: 1px solid var(--rule); text-align: right; vertical-align: top; white-space: nowrap; }
th { font-weight: 600; }
th[scope=row], td.words { text-align: left; }
.predictions th:nth-child(2), .texts thead th:nth-child(n+3), .tensors > thead th:nth-child(3), .tensors > thead th:nth-child(4) {
  text-align: left; }
tbody th[scope=row] { font-weight: 500; }
thead th, thead td { border-bottom: 1px solid var(--ink); vertical-align: bottom; }
thead th:first-child { text-align: left; }
td.code { text-align: left; }
.comparison { min-width: 100%; border-collapse: separate; border-spacing: 0; } .comparison td .small { white-space: normal; }
.comparison th[scope=row] { position: sticky; left: -8px; background: var(--paper); white-space: normal; min-width: 8.5em; }
th.chosen, td.chosen { background: var(--tint); }
td.chosen { font-weight: 600; }
tr.chosen > * { font-weight: 700; }
.meanings { columns: 2 380px; column-gap: 40px; margin: 20px 0 0; font-size: 13px; }
.meanings div { break-inside: avoid; margin-bottom: 8px; }
dt { font-weight: 600; } dd { margin: 0; color: var(--soft); }
.facts { margin: 0; } .facts div { display: grid; grid-template-columns: minmax(120px, 36%) 1fr; gap: 12px; padding: 4px 0;
  border-bottom: 1px solid var(--rule); }
.facts dt { font-weight: 400; color: var(--soft); } .facts dd { color: var(--ink); overflow-wrap: anywhere; }
.method { max-width: 80ch; padding-left: 22px; margin: 0; } .method li { margin-bottom: 6px; }
.deviation { width: 124px; height: 12px; vertical-align: middle; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 28px 44px; }
figure { margin: 0; break-inside: avoid; } figcaption { margin-bottom: 6px; font-weight: 600; }
figure svg { display: block; width: 100%; height: auto; overflow: visible; }
)"
    R"(
svg text { font-size: 13px; fill: var(--ink); }
svg .tick, svg .axis-name { fill: var(--soft); font-size: 12.5px; }
svg .label { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }
svg .chosen { font-weight: 650; } text.label.chosen { fill: var(--chosen); }
.bar { fill: var(--bar); } .bar.chosen, .dot.chosen, .measured { fill: var(--chosen); } .dot { fill: var(--bar); }
.halo { stroke: var(--paper); stroke-width: 3.4; } .whisker { stroke: var(--ink); stroke-width: 1.4; }
  .axis { stroke: var(--soft); stroke-width: 1; } .grid { stroke: var(--grid); stroke-width: 1; }
.limit { stroke: var(--worse); stroke-width: 1.6; stroke-dasharray: 5 4; } svg .limit-text { fill: var(--worse);
  font-size: 12.5px; }
.beyond { fill: var(--beyond); } .noise { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 3; }
.frontier { fill: none; stroke: var(--chosen); stroke-width: 2; stroke-linejoin: round; } .step { fill: var(--chosen); }
.uniform { fill: var(--paper); stroke: var(--ink); stroke-width: 1.6; }
.guessed { stroke: var(--soft); stroke-dasharray: 2 1.6; }
.predicted { fill: var(--paper); stroke: var(--chosen); stroke-width: 2; } .measured { stroke: var(--paper); stroke-width: 1; }
.leader { stroke: var(--soft); stroke-width: 1; } .join { fill: none; stroke: var(--chosen); stroke-width: 1.4; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 22px; margin: 14px 0; padding: 0; list-style: none; font-size: 13px; }
.legend svg { width: 24px; height: 16px; margin-right: 7px; vertical-align: -3px; }
.maps { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 28px 36px;
  margin-bottom: 28px; }
.map { width: 100%; table-layout: fixed; border-collapse: separate; border-spacing: 2px; font-size: 12px; }
.map th, .map td { padding: 4px 2px; border: 0; text-align: center; overflow: hidden; border-radius: 3px; line-height: 1.35; }
.map th:first-child { width: 58px; padding-right: 6px; text-align: right; color: var(--soft); font-weight: 400;
  text-overflow: ellipsis; }
.map thead th { font-size: 11.5px; font-weight: 500; white-space: normal; overflow-wrap: anywhere; border: 0; }
.map.dense th, .map.dense td { padding: 1px 2px; font-size: 11px; border-radius: 2px; }
.b0, .b1, .b2, .b3, .s0, .s1, .s2, .s3 { color: var(--low-text); } .b4, .s4 { color: var(--middle-text); }
.b5, .b6, .b7, .s5, .s6, .s7 { color: var(--high-text); }
.b0 { background: var(--b0); } .b1 { background: var(--b1); } .b2 { background: var(--b2); } .b3 { background: var(--b3); }
.b4 { background: var(--b4); } .b5 { background: var(--b5); } .b6 { background: var(--b6); } .b7 { background: var(--b7); }
.s0 { background: var(--s0); } .s1 { background: var(--s1); } .s2 { background: var(--s2); } .s3 { background: var(--s3); }
.s4 { background: var(--s4); } .s5 { background: var(--s5); } .s6 { background: var(--s6); } .s7 { background: var(--s7); }
.formats th[scope=row] { font-weight: 600; }
summary { cursor: pointer; } .all-tensors > summary { padding: 12px 0; border-top: 2px solid var(--ink); font-size: 21px;
  font-weight: 700; }
.tensors { font-size: 13px; } .tensors table { font-size: 12.5px; } .tensors details[open] summary { font-weight: 600; }
@media (max-width: 640px) {
  main { padding: 24px 16px 8px; } footer { padding: 16px 16px 32px; } section { margin-top: 40px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 8px; } .tile { padding: 10px 12px; } .figure { font-size: 21px; }
  th, td { padding: 5px 7px; } .comparison { font-size: 13px; } .comparison th[scope=row] { min-width: 6.5em; max-width: 7em;
    } .small { font-size: 12px; }
  .map, .map.dense th, .map.dense td { font-size: 10px; } .map { border-spacing: 1px; } .map th:first-child { width: 44px;
    padding-right: 3px; }
  .map thead th { font-size: 11px; vertical-align: bottom; overflow: visible; white-space: nowrap; }
  .map thead th span { writing-mode: vertical-rl; transform: rotate(180deg); display: inline-block; }
}
@media print {
  body { font-size: 9.5pt; } main, footer { max-width: none; padding: 0; } section { margin-top: 28px; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  .scroll { overflow: visible; } .figures, .maps { grid-template-columns: 1fr 1fr; gap: 16px 24px; }
  .comparison, .map { font-size: 9pt; } .map.dense th, .map.dense td { font-size: 7pt; }
  h2, h3, figcaption, caption { break-after: avoid; } tr { break-inside: avoid; }
  .comparison th[scope=row] { position: static; } th, td { padding: 4px 7px; }
  .all-tensors:not([open]) { display: none; }
}
@page { margin: 15mm; }
)";

std::string_view style() { return sheet; }

}  // namespace tailor::search::report
