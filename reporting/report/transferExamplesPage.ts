/** examples.html of a style transfer: every sentence with its scores. The page opens from a file and loads nothing. */
import { escapeHtml } from '../charts/escapeHtml.js'
import type { ExampleGroup, TransferExample, TransferExamples } from '../../evaluation/styleTransfer/gyafc.js'

const style = `
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid #8886; padding: .4rem .6rem; text-align: left; vertical-align: top }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
td.empty { font-style: italic; opacity: .7 }
`

const number = (value: number | null, digits: number): string => `<td class="number">${value === null ? '–' : value.toFixed(digits)}</td>`

const row = ({ source, output, reference, scores }: TransferExample): string =>
  `<tr><td>${escapeHtml(source)}</td>${output === '' ? '<td class="empty">nothing</td>' : `<td>${escapeHtml(output)}</td>`}<td>${escapeHtml(reference)}</td>` +
  `${number(scores.probability, 2)}${number(scores.bleu, 1)}${number(scores.perplexity, 0)}</tr>\n`

const table = ({ direction, examples }: ExampleGroup): string =>
  `<h2>${escapeHtml(direction)}</h2>\n<div class="wide"><table>\n<thead><tr><th scope="col">source</th><th scope="col">output</th><th scope="col">reference</th>` +
  '<th scope="col" class="number">p(target)</th><th scope="col" class="number">BLEU</th><th scope="col" class="number">PPL</th></tr></thead>\n<tbody>\n' +
  `${examples.map(row).join('')}</tbody></table></div>\n`

/** The page as HTML. Its first paragraph explains the three score columns. */
export const transferExamplesPage = ({ title, groups }: TransferExamples): string =>
  `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">` +
  `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">\n<title>${escapeHtml(title)}</title><style>${style}</style></head>\n` +
  `<body>\n<h1>${escapeHtml(title)}</h1>\n<p>p(target): probability of the target style, by the classifier. BLEU: of the sentence alone, smoothed. ` +
  `PPL: perplexity under the language model of the target style.</p>\n${groups.map(table).join('')}</body></html>\n`
