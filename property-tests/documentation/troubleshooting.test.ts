/** The page on troubleshooting quotes messages that the program prints: each is compared with the texts in the sources. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { toFlag } from '../../finetuning/commandLine/optionNames.js'
import { tokensOf } from './sourceTexts.js'

const page = readFileSync('docs/how-to/troubleshooting.md', 'utf8')

const sourcesBelow = (folder: string): readonly string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? sourcesBelow(`${folder}/${entry.name}`) : entry.name.endsWith('.ts') ? [`${folder}/${entry.name}`] : [],
  )

/** `…` for what varies, once for several parts with nothing but a blank between them. */
const withDots = (text: string): string => text.replaceAll('`x`', '…').replace(/…( ?…)+/g, '…')

/** The options that a message names, as the command line prints them. */
const inFlags = (source: string): string => source.replaceAll(/\$\{option\('(\w+)'(?:, \w+)?\)\}/g, (_, name: string) => toFlag(name))

const texts = new Set(
  ['accelerated', 'finetuning', 'evaluation', 'cli']
    .flatMap(sourcesBelow)
    .flatMap((file) => tokensOf(inFlags(readFileSync(file, 'utf8'))))
    .flatMap(({ kind, text }) => (kind === 'string' ? [withDots(text)] : [])),
)
/** Texts with one part that varies, as what is before it and after it. */
const around = [...texts].flatMap((text) => {
  const [start = '', end, ...others] = text.split('…')
  return end === undefined || others.length > 0 || start.length + end.length < 8 ? [] : [[start, end] as const]
})

/** The parts of `where: expected X, got Y`, which the program joins; another message is one part. */
const partsOf = (message: string): readonly string[] => {
  const [, where = message, expected, got] = /^(.*): expected (.*), got (.*)$/.exec(message) ?? []
  return expected === undefined ? [message] : [where, expected, got ?? '']
}

/** The part is a text of the sources, a name, or `…`. It may also be a text in which another of these parts replaces the `…`. */
const isPrinted = (part: string): boolean =>
  /^(…|--[a-z-]+( …)?)$/.test(part) ||
  texts.has(part) ||
  around.some(
    ([start, end]) =>
      part.length > start.length + end.length &&
      part.startsWith(start) &&
      part.endsWith(end) &&
      isPrinted(part.slice(start.length, part.length - end.length)),
  )

const isMessage = (message: string): boolean =>
  [...texts].some((text) => text.includes(message)) || (message.includes(': expected ') && partsOf(message).every(isPrinted))

const headings = [...page.matchAll(/^### (.*)$/gm)].map(([, heading = '']) => heading)

describe('the page on troubleshooting', () => {
  it('has messages as headings', () => {
    expect(headings.length).toBeGreaterThan(25)
    expect(headings.filter((heading) => !/^`[^`]+`$/.test(heading))).toEqual([])
  })

  it.each(headings)('quotes a message that the program prints: %s', (heading) => expect(isMessage(heading.slice(1, -1))).toBe(true))

  it('would fail with a message that no source has', () => {
    for (const message of [
      'Unknown commands',
      '…: expected a folder in the layout of Hugging Face, got …',
      '--max-length: expected at most the … positions of the model, got …',
      '…: expected one out of …, got …',
      'step …: expected a finite loss, got …',
    ])
      expect(isMessage(message), message).toBe(false)
  })

  it('quotes other tools as the program does', () => expect([...texts]).toEqual(expect.arrayContaining(['did you mean …?…', ' …: …'])))
})
