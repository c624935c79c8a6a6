/** How the board looks: as a report, with a list that becomes cards on a telephone. */
import { pageStyle } from '../../report/pageStyle.js'

export const boardStyle = `${pageStyle}
:root { --go: #1a7f37; --bad: #c62828; --odd: #9a6700 }
@media (prefers-color-scheme: dark) { :root { --go: #4cc267; --bad: #ff7b72; --odd: #e3b341 } }
h1 a { color: inherit; text-decoration: none }
section { margin: 1.5rem 0 }
#status { color: var(--quiet); min-height: 1.5em; margin: 0 }
#status.bad { color: var(--bad); font-weight: 600 }
main:focus { outline: none }
.bar { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; margin: .5rem 0 }
.bar label { display: grid; font-size: .85rem; color: var(--quiet) }
.bar > .quiet { margin: 0; padding-bottom: .3rem }
input[type=search], select { font: inherit; padding: .3rem .5rem; min-height: 2.2rem; width: min(20rem, 80vw); border: 1px solid var(--line); border-radius: .35rem; background: var(--ground); color: inherit }
input[type=checkbox] { width: 1.15rem; height: 1.15rem; margin: .15rem 0 }
button:disabled { opacity: .5; cursor: default }
button.stop { border-color: var(--bad); color: var(--bad) }
.wide { max-height: none }
table.list { width: 100% }
table.list td, table.list th { padding: .3rem .5rem }
table.list td.name { max-width: 26rem; overflow-wrap: anywhere }
table.list .why { display: block; color: var(--quiet); font-size: .8rem }
thead th button { border: 0; padding: 0; min-height: 0; font-weight: 600; text-align: inherit }
thead th[aria-sort=ascending] button::after { content: ' ▲' }
thead th[aria-sort=descending] button::after { content: ' ▼' }
progress { width: 6rem; height: .6rem; vertical-align: middle; accent-color: var(--link); margin-right: .5rem }
.state { white-space: nowrap }
.state::before { content: '●'; margin-right: .3rem; color: var(--quiet) }
.state.running::before { color: var(--go) }
.state.failed::before, .state.lost::before, .state.unreadable::before { color: var(--bad) }
.state.waiting::before, .state.interrupted::before { color: var(--odd) }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: .5rem 1rem; margin: .75rem 0 }
dl div { min-width: 0 }
dt { font-size: .8rem; color: var(--quiet) }
dd { margin: 0; font-variant-numeric: tabular-nums }
code { font: .85rem/1.4 ui-monospace, monospace; overflow-wrap: anywhere }
dialog { max-width: 32rem; width: calc(100vw - 2rem); border: 1px solid var(--line); border-radius: .5rem; background: var(--ground); color: var(--text) }
dialog::backdrop { background: #0008 }
[hidden] { display: none !important }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1.5rem 2rem; align-items: start; margin: 1.5rem 0 }
.figures > section { margin: 0; min-width: 0 }
.figures > section > p { font-size: .85rem; margin-bottom: .25rem }
.figures > ul { grid-column: 1 / -1; margin: 0 }
.figures > ul:empty { display: none }
.figures .wide { max-height: 20rem }
@media (max-width: 44rem) {
  table.list, table.list tbody { display: block }
  table.list thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
  table.list tr { display: flex; flex-wrap: wrap; gap: 0 .8rem; position: relative; padding: .5rem 0; border-bottom: 1px solid var(--line) }
  table.list td { border: 0; padding: 0; text-align: left; max-width: none }
  table.list td.name { width: 100%; max-width: none }
  table.list td.pick:not(:empty) { position: absolute; right: 0; top: .5rem }
  table.list td.pick:not(:empty) + td.name { padding-right: 2rem }
  table.list td[data-label]:not(:empty)::before { content: attr(data-label) ' '; color: var(--quiet); font-size: .8rem }
  table.list td.progress { white-space: nowrap }
  table.list td:empty { display: none }
}
`
