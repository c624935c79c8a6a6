/** examples.html of a style transfer: every sentence with its scores. The page opens from a file and loads nothing. */
import type { ExampleGroup, TransferExamples } from '../../evaluation/styleTransfer/contract.js'
import { html, type Html } from '../text/html.js'
import { tableRegion } from './sections.js'

const style = `
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid #8886; padding: .4rem .6rem; text-align: left; vertical-align: top }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
`

const section = ({ direction, examples }: ExampleGroup): Html => {
  const rows = examples.map(({ source, output, reference, scores: { probability, bleu, perplexity } }) => [
    ...[source, output || '(nothing)', reference],
    ...[probability?.toFixed(2) ?? null, bleu?.toFixed(1) ?? null, perplexity?.toFixed(0) ?? null],
  ])
  const columns = ['source', 'output', 'reference', 'p(target)', 'BLEU', 'PPL']
  return html`<h2>${direction}</h2>
${tableRegion({ columns, rows }, direction)}`
}

/** The page as HTML. Its first paragraph explains the three score columns. */
export const transferExamplesPage = ({ title, groups }: TransferExamples): string =>
  html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title><style>${{ html: style }}</style></head>
<body>
<h1>${title}</h1>
<p>p(target): probability of the target style, by the classifier. BLEU: of the sentence alone, smoothed. PPL: perplexity under the language model of the target style.</p>
${groups.map(section)}</body></html>
`.html
