/** How the page looks: one column on a telephone, charts side by side where there is room, dark and light as the reader has it. */
export const pageStyle = `
:root { color-scheme: light dark; --ground: #ffffff; --text: #1b1b1b; --quiet: #595959; --line: #8886; --link: #0b57b0 }
@media (prefers-color-scheme: dark) { :root { --ground: #15171a; --text: #e6e6e6; --quiet: #a9adb3; --link: #8ab8f5 } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--ground); color: var(--text); overflow-wrap: anywhere }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0 }
h2 { font-size: 1.2rem; line-height: 1.25; margin: 0 0 .25rem }
section { margin: 2.5rem 0; scroll-margin-top: 1rem }
p { margin: .25rem 0 .75rem; max-width: 46rem }
a { color: var(--link) }
.quiet, figcaption, section > p { color: var(--quiet) }
nav ul { columns: 17rem; list-style: none; margin: 0; padding: 0 }
nav li { break-inside: avoid }
nav a { display: block; padding: .2rem 0 }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1.5rem 2rem; align-items: start; margin: .75rem 0 }
figure { margin: 0; min-width: 0 }
figcaption { color: var(--text); font-size: .9rem; margin-bottom: .35rem }
figure svg { display: block; max-width: 100%; height: auto }
.buttons { display: flex; flex-wrap: wrap; gap: .4rem; margin: .4rem 0 }
button { font: inherit; font-size: .85rem; padding: .25rem .7rem; min-height: 2rem; border: 1px solid var(--line); border-radius: .35rem; background: transparent; color: inherit; cursor: pointer }
button:hover { border-color: currentColor }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px }
summary { cursor: pointer; padding: .25rem 0 }
.wide { overflow: auto; max-height: 30rem; border-block: 1px solid var(--line); overflow-wrap: normal }
table { border-collapse: collapse; font-size: .85rem }
th, td { padding: .25rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line) }
thead th { position: sticky; top: 0; background: var(--ground) }
table { width: max-content }
td { max-width: 22rem }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
textarea { width: 100%; height: 8rem; font: .8rem/1.4 ui-monospace, monospace; background: transparent; color: inherit; border: 1px solid var(--line) }
@media print { button, nav, details:not([open]) { display: none } .panels { grid-template-columns: repeat(2, 1fr) } figure { break-inside: avoid } }
`
