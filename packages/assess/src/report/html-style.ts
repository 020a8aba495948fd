import { colours, inkOn } from "./charts.ts";
import { verdictOrder } from "./words.ts";

const verdictStyle = ([...verdictOrder, "not-applicable"] as const)
  .map((verdict) => `.v-${verdict}{background:${colours[verdict]};color:${inkOn(verdict)}}`)
  .join("");

/** For the screen, for narrow screens, and for paper. */
export const style = `
:root{color-scheme:light}
body{font:15px/1.5 system-ui,"DejaVu Sans",sans-serif;color:#1c2430;background:#fff;max-width:62rem;margin:2rem auto;padding:0 1.2rem}
h1{margin:.1em 0;font-size:1.9rem;overflow-wrap:anywhere}
h2{margin-top:2.4rem;border-bottom:2px solid #1c2430;font-size:1.25rem;break-after:avoid}
h3{margin:1.5rem 0 .3rem;font-size:1rem;break-after:avoid}h3 small{font-weight:400;color:#4a5566}
p,dd,dt,li{overflow-wrap:break-word}a{color:#0b4f8a;text-decoration:none}a:hover{text-decoration:underline}
td a,h3 a{color:inherit;border-bottom:1px dotted #8a94a6}
.kicker{letter-spacing:.08em;text-transform:uppercase;color:#4a5566;margin:0}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:.35rem 1.2rem;font-size:.86rem;margin:1rem 0}
.facts dt{color:#4a5566;font-weight:400}.facts dd{margin:0;font-weight:600;overflow-wrap:anywhere}.facts .wide{grid-column:1/-1}
.charts{display:grid;grid-template-columns:1fr 1fr;gap:1rem}
figure{margin:0;border:1px solid #d7dde5;border-radius:.3rem;padding:.8rem;break-inside:avoid}
figcaption{font-weight:600;margin-bottom:.5rem}
svg{display:block;width:100%;max-width:30rem;margin:0 auto;height:auto;font:12px system-ui,"DejaVu Sans",sans-serif}svg .strong{font-weight:700}svg .faint{fill:#4a5566}
.legend{margin:.6rem 0}.legend span{display:inline-block;margin-right:1.1rem}
.legend i{display:inline-block;width:.9em;height:.9em;margin-right:.35em;border:1px solid #4a5566;vertical-align:-.08em}
table{border-collapse:collapse;width:100%;font-size:.86rem;margin:.6rem 0}
th,td{border:1px solid #d7dde5;padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:break-word}
td:first-child{min-width:7rem}th{background:#eef1f5}
td.mono,code{font:.72rem/1.4 ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
table.seen{table-layout:fixed}table.seen col:nth-child(-n+2){width:19%}table.seen col:nth-child(4){width:13%}table.seen col:nth-child(5){width:17%}table.seen td{overflow-wrap:anywhere;min-width:0}table.paper{table-layout:fixed}table.paper col:nth-child(1){width:27%}table.paper col:nth-child(2){width:10%}table.paper col:nth-child(3){width:15%}table.evidence{font-size:.78rem;table-layout:fixed}table.evidence col:nth-child(1){width:31%}table.evidence col:nth-child(2){width:10%}table.evidence col:nth-child(3){width:8%}table.evidence td{overflow-wrap:anywhere}table.evidence td{padding:.1rem .4rem}table.evidence code{font-size:.66rem}
dl{margin:.3rem 0}article dl{display:grid;grid-template-columns:9.5rem minmax(0,1fr);gap:.1rem .8rem}article dt{grid-column:1}article dd{grid-column:2;margin:0}dt{font-weight:600;break-after:avoid}dd{margin:0 0 .25rem 1rem}
.badge{display:inline-block;font-size:.78rem;line-height:1.35;padding:.05rem .45rem;border-radius:.3rem;border:1px solid #4a5566;font-weight:600;white-space:nowrap}.v-out-of-scope{white-space:normal;min-width:6.5rem}
.bad{color:#8f1d25;font-weight:600}.groups li{margin-bottom:.5rem}
footer{margin-top:2.5rem;border-top:1px solid #d7dde5;font-size:.8rem;color:#4a5566}
${verdictStyle}
@media screen and (max-width:42rem){
body{margin:1rem auto;padding:0 .8rem}h1{font-size:1.4rem}.charts,article dl{grid-template-columns:minmax(0,1fr)}article dd{grid-column:1;margin-left:1rem}
thead{display:none}
table,tbody,tr,td{display:block;min-width:0}tr{border:1px solid #d7dde5;margin-bottom:.6rem;padding:.3rem .5rem}
td,td:first-child{border:0;padding:.1rem 0;min-width:0;overflow-wrap:anywhere}
td::before{content:attr(data-head) ": ";color:#4a5566}td:empty{display:none}
}
@media print{
@page{size:A4;margin:16mm 15mm 18mm;@bottom-left{content:"IEC 62443-4-2 assessment";font:8pt system-ui,sans-serif;color:#4a5566}@bottom-right{content:counter(page) " of " counter(pages);font:8pt system-ui,sans-serif;color:#4a5566}}
html{font-size:12px}body{margin:0;padding:0;max-width:none;font-size:1rem}h2{margin-top:1.8rem}
.charts{grid-template-columns:1fr 1fr}thead{display:table-header-group}tr,dt,.keep,.head{break-inside:avoid}.head{break-after:avoid}
table.evidence{font-size:7.5pt}table.evidence code{font-size:6.2pt}
a{color:inherit}td a,h3 a{border:0}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
}
`.replaceAll("\n", "");
