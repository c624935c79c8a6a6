/**
 * Draws the docs' pictures: public/speed.svg and few-rows.svg and results/speed.svg from stored results, terminal.svg and report.png from a real quickstart.
 *
 * `npm run build && node docs/pictures.mjs` takes as long as the quickstart; with `charts`, it draws only the first three. It needs Linux's `script`, and Chromium (at $CHROMIUM or in /usr/bin).
 */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { group } from 'd3-array'
import { chromium } from 'playwright-core'
import { lineChart } from '../dist/reporting/charts/chart.js'
import { drawChart } from '../dist/reporting/charts/drawChart.js'

const columns = 80
/** Lines of the picture: the command, then the summary from its scores on. */
const mostLines = 16
const run = 'runs/sentiment-salora-1'
const output = resolve('docs/public')

/** Runs a command in a pseudoterminal, so that it shows its progress bar. */
const record = (words, cwd) =>
  new Promise((done, fail) => {
    const options = { cwd, env: { ...process.env, TERM: 'xterm-256color' } }
    const child = spawn('script', ['-qefc', `stty cols ${columns} rows 60; ${words.join(' ')}`, '/dev/null'], options)
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    child.on('error', fail)
    child.on('close', (code) => (code === 0 ? done(text) : fail(new Error(`${words.join(' ')}: exit code ${code}\n${text}`))))
  })

/** The 16 colors of a terminal as CSS: black, red, green, yellow, blue, magenta, cyan and white, then the bright ones. */
const colors = ['#15171a', '#d1574f', '#46b063', '#b58a24', '#3566b8', '#9567c9', '#3aa5ac', '#e6e6e6']
const brightColors = ['#5c6370', '#ff7b72', '#7ee787', '#e3b341', '#3f7ad6', '#c297ff', '#76e4ea', '#ffffff']

/** The style after an SGR sequence; salora writes one code in each. */
const styled = (style, codes) => {
  const code = Number(codes || 0)
  if (code === 0) return {}
  if (code === 39) return { ...style, color: undefined }
  if (code === 49) return { ...style, background: undefined }
  const color = (code >= 90 ? brightColors : colors)[code % 10]
  if (/^(3|9)\d$/.test(codes)) return { ...style, color }
  return /^(4|10)\d$/.test(codes) ? { ...style, background: color } : style
}

const token = /\r?\n|\r|\x1b\[([\d;?]*)([A-Za-z])|[^\x1b]/gu

/** The lines that a terminal shows after this output, as cells with a character and a style. */
const screenOf = (text) => {
  const lines = []
  let [line, column, style] = [[], 0, {}]
  for (const [piece, parameters, final] of text.matchAll(token)) {
    if (piece.endsWith('\n')) {
      lines.push(line)
      ;[line, column] = [[], 0]
    } else if (piece === '\r') column = 0
    else if (final === 'G') column = Number(parameters || 1) - 1
    else if (final === 'K') line = parameters === '2' ? [] : line.slice(0, column)
    else if (final === 'm') style = styled(style, parameters)
    else if (final === undefined) line[column++] = { character: piece, ...style }
  }
  return lines.flatMap((cells) => wrap(Array.from(cells, (cell) => cell ?? { character: ' ' })))
}

const wrap = (cells) => (cells.length <= columns ? [cells] : [cells.slice(0, columns), ...wrap(cells.slice(columns))])

/** Neighboring cells of the same style. */
const runsOf = (cells) =>
  cells.reduce((runs, { character, color, background }, column) => {
    const last = runs.at(-1)
    if (last !== undefined && last.color === color && last.background === background) last.text += character
    else runs.push({ column, color, background, text: character })
    return runs
  }, [])

const [cellWidth, lineHeight, margin] = [7.8, 18, 16]

/** Each text has a fixed length, so that columns stay aligned in every monospace font. */
const textSvg = ({ column, color, background, text }, row) => {
  const [x, y, width] = [margin + column * cellWidth, margin + row * lineHeight, text.length * cellWidth].map((value) => value.toFixed(1))
  const fill = background === undefined ? '' : `<rect x="${x}" y="${y}" width="${width}" height="${lineHeight}" fill="${background}"/>`
  const content = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  const baseline = (Number(y) + 0.75 * lineHeight).toFixed(1)
  const words = `<text x="${x}" y="${baseline}" textLength="${width}" xml:space="preserve"${color === undefined ? '' : ` fill="${color}"`}>${content}</text>`
  return `${fill}${text.trim() === '' ? '' : words}\n`
}

const terminalSvg = (lines) => {
  const [width, height] = [Math.ceil(columns * cellWidth + 2 * margin), lines.length * lineHeight + 2 * margin]
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="A salora quickstart in a terminal">\n` +
    `<rect width="100%" height="100%" rx="8" fill="${colors[0]}"/>\n` +
    `<g fill="${colors[7]}" font-family="ui-monospace, 'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, monospace" font-size="13">\n` +
    `${lines.flatMap((cells, row) => runsOf(cells).map((run) => textSvg(run, row))).join('')}</g></svg>\n`
  )
}

/** The first screen of a page, in light mode, with two pixels for each pixel of the page. */
const screenshot = async (page, file) => {
  const browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
  const tab = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme: 'light', deviceScaleFactor: 2 })
  await tab.goto(pathToFileURL(page).href)
  await tab.screenshot({ path: file })
  await browser.close()
}

const cases = {
  '16x64': 'RoBERTa-base, 16 × 64 tokens',
  '16x128': 'RoBERTa-base, 16 × 128 tokens',
  'mrpc-16': 'MRPC, batches of 16',
  'mrpc-16-random': 'MRPC, random batches of 16',
  'mrpc-32': 'MRPC, batches of 32',
  'mrpc-32-random': 'MRPC, random batches of 32',
  'mrpc-epoch': 'MRPC, a whole epoch',
  'decoder-8x128': 'SmolLM2-135M, 8 × 128 tokens',
}
const methods = { lora: 'LoRA', salora: 'SaLoRA', adalora: 'AdaLoRA', full: 'full fine-tuning' }

const picture = (width, height, label, content) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${label}">\n` +
  `<style>text { fill: #1b1b1b } @media (prefers-color-scheme: dark) { text { fill: #e6e6e6 } }</style>\n` +
  `<g font-family="system-ui, 'DejaVu Sans', Arial, sans-serif" font-size="12">\n${content}</g></svg>\n`

/** PEFT's step time divided by salora's, with quartiles: each case has a heading, and below it a line for each method and precision. */
const ratioSvg = ({ rows }) => {
  const x = (ratio) => (220 + (ratio - 1) * 280).toFixed(1)
  let y = 24
  const lines = [...group(rows, (row) => row.case)].flatMap(([name, of]) => {
    const heading = `<text x="8" y="${(y += 18)}" font-weight="bold">${cases[name]}</text>\n`
    const points = of.map(({ method, precision, peer, ratio: [low, middle, high] }) => {
      const label = `${methods[method]}, ${precision === peer.precision ? precision : `${precision} / ${peer.precision}`}`
      y += 18
      const mark = `<path d="M${x(low)} ${y - 4}H${x(high)}" stroke="#3f6fe8" stroke-width="2"/><circle cx="${x(middle)}" cy="${y - 4}" r="4" fill="#3f6fe8"/>`
      return `<text x="208" y="${y}" text-anchor="end">${label}</text>${mark}<text x="${Number(x(high)) + 10}" y="${y}">${middle.toFixed(2)} ×</text>\n`
    })
    y += 6
    return [heading, ...points]
  })
  const ticks = [1, 1.5, 2, 2.5].map(
    (ratio) =>
      `<path d="M${x(ratio)} 24V${y}" stroke="#888" stroke-opacity="0.4"${ratio === 1 ? ' stroke-dasharray="4 3"' : ''}/><text x="${x(ratio)}" y="16" text-anchor="middle">${ratio === 1 ? 'as fast as PEFT' : `${ratio} ×`}</text>\n`,
  )
  return picture(760, y + 8, "PEFT's step time divided by salora's: median and quartiles", [...ticks, ...lines].join(''))
}

/** Milliseconds per LoRA step as bars: salora and PEFT in float32, by case. */
const speedSvg = ({ rows }) => {
  const bars = ['16x64', '16x128', 'mrpc-16-random', 'decoder-8x128'].flatMap((name, i) => {
    const { ours, peer } = rows.find((row) => row.case === name && row.method === 'lora' && row.precision === 'float32')
    return [[ours, 'salora', '#3566b8', 4], [peer, 'PEFT', '#b58a24', 22]].map(([{ milliseconds }, side, color, offset]) => {
      const [y, width] = [i * 48 + offset, milliseconds / 14]
      const heading = offset === 4 ? `<text x="210" y="${y + 22}" text-anchor="end">${cases[name]}</text>` : ''
      const label = `<text x="${(228 + width).toFixed(1)}" y="${y + 13}">${side} ${milliseconds.toFixed(0)} ms</text>`
      return `${heading}<rect x="220" y="${y}" width="${width.toFixed(1)}" height="16" rx="2" fill="${color}"/>${label}\n`
    })
  })
  return picture(680, 192, 'Milliseconds per LoRA step in float32: salora and PEFT', bars.join(''))
}

/** Accuracy by rows per class, a line for each method: the mean over the data sets, salora's plus the mean difference on shared draws. */
const rowsSvg = (rows) => {
  const series = { salora: 'salora', setfit: 'SetFit', lr: 'embeddings + regression', tfidf: 'TF-IDF + regression', trainer: 'Trainer' }
  const draws = rows.filter(({ set, perClass, salora }) => salora !== undefined && perClass <= 64 && !['de', 'pl'].includes(set))
  const points = Object.entries(series).flatMap(([method, name]) =>
    [...new Set(draws.map(({ perClass }) => perClass))].flatMap((x) => {
      const bySet = [...group(draws.filter(({ perClass }) => perClass === x), ({ set }) => set).values()]
      const mean = (all) => all.reduce((a, b) => a + b, 0) / all.length
      const differences = (of) => of.flatMap((row) => (row[method] === undefined ? [] : [row[method] - row.salora]))
      const means = bySet.map((of) => mean(of.map((row) => row.salora)) + mean(differences(of)))
      return means.every(Number.isFinite) ? [{ series: name, x, y: means.reduce((a, b) => a + b, 0) / means.length }] : []
    }),
  )
  const values = [...new Set(points.map(({ x }) => x))]
  const chart = lineChart(points, { title: 'rows per class', values }, { title: 'accuracy, mean of six data sets', isShare: true })
  const colors = '<style>svg{color:#1b1b1b}@media (prefers-color-scheme:dark){svg{color:#e6e6e6}}</style>'
  return `${drawChart(chart, { width: 640, plotHeight: 260, smoothing: 0 }).replace('>', `>${colors}`)}\n`
}

const benchmark = JSON.parse(await readFile('evaluation/results/benchmark.json', 'utf8'))
await writeFile(join(output, 'speed.svg'), speedSvg(benchmark))
await writeFile('docs/results/speed.svg', ratioSvg(benchmark))
await writeFile(join(output, 'few-rows.svg'), rowsSvg(JSON.parse(await readFile('evaluation/results/few-rows.json', 'utf8'))))
if (process.argv[2] === 'charts') process.exit()

const folder = await mkdtemp(join(tmpdir(), 'salora-pictures-'))
const text = await record([process.execPath, resolve('dist/cli/salora.js'), 'quickstart'], folder)
const visible = text.replaceAll(folder, '/home/you/project').replaceAll(`${resolve('.')}/`, '')
await mkdir(output, { recursive: true })
const [command, ...screen] = screenOf(`$ npx salora quickstart\n${visible}`)
const summary = screen.findIndex((cells) => cells.map(({ character }) => character).join('').startsWith('scores'))
await writeFile(join(output, 'terminal.svg'), terminalSvg([command, ...screen.slice(summary)].slice(0, mostLines)))
await screenshot(join(folder, run, 'report.html'), join(output, 'report.png'))
await rm(folder, { recursive: true })
