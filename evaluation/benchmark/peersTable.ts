/** The benchmark against PEFT as a Markdown table, for the terminal and README. */
import type { PeerRow } from './comparePeft.js'
import type { SideResult } from './turns.js'

const header = [
  'case',
  'ours',
  'ms a step',
  'real tokens/s',
  'peak memory',
  'GFLOP/s',
  'PEFT',
  'ms a step',
  'real tokens/s',
  'peak memory',
  'ratio (quartiles)',
]

export const peersTable = (rows: ReadonlyArray<PeerRow>): string =>
  [header, header.map(() => '---'), ...rows.map(cellsOf)].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

const cellsOf = ({ case: name, method, precision, ours, peer, ratio }: PeerRow): ReadonlyArray<string> => [
  name,
  `${method}, ${precision}`,
  ...numbersOf(ours),
  ours.gigaflops === null ? '–' : ours.gigaflops.toFixed(0),
  ...(peer === null
    ? ['–', '–', '–', '–']
    : [`${peer.method}, ${peer.precision}${peer.mode === 'eager' ? '' : `, ${peer.mode}`}`, ...numbersOf(peer)]),
  ratio === null ? '–' : `**${ratio[1].toFixed(2)} ×**${ratio[0] === ratio[2] ? '' : ` (${ratio[0].toFixed(2)} … ${ratio[2].toFixed(2)})`}`,
]

const numbersOf = ({ milliseconds, tokensPerSecond, peakBytes, epochSeconds }: SideResult): ReadonlyArray<string> => [
  milliseconds.toFixed(0) + (epochSeconds === null ? '' : ` (${epochSeconds.toFixed(0)} s in all)`),
  tokensPerSecond.toFixed(0),
  `${(peakBytes / 1e9).toFixed(2)} GB`,
]
