/**
 * npm run style: checks the countable rules of the style over README, docs, help, messages, comments and test titles, and prints the
 * violations by room. `npm run style -- cli docs` checks these rooms alone.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { longParagraphs, markdownTexts } from './style/markdown.js'
import { violationsOf, type Violation } from './style/rules.js'
import { typescriptTexts } from './style/typescript.js'

const ignored = new Set([
  'node_modules',
  'dist',
  '.git',
  'evaluation/results',
  'docs/api',
  'docs/node_modules',
  'property-tests/llamacpp/node_modules',
  'docs/.vitepress',
  'property-tests/mutations/operators/node_modules',
])

const filesBelow = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '.' ? entry.name : `${folder}/${entry.name}`
    if (entry.isDirectory()) return ignored.has(path) ? [] : filesBelow(path)
    return /\.(ts|md)$/.test(entry.name) && entry.name !== 'LICENSE.md' ? [path] : [] // a license's words are not ours
  })

export const violationsIn = (file: string, text: string): ReadonlyArray<Violation> =>
  file.endsWith('.md')
    ? [...markdownTexts(file, text).flatMap(violationsOf), ...longParagraphs(file, text)]
    : typescriptTexts(file, text).flatMap(violationsOf)

/** Every violation below the working directory, which is the root of the repository. */
export const allViolations = (): ReadonlyArray<Violation> =>
  filesBelow('.').flatMap((file) => violationsIn(file, readFileSync(file, 'utf8')))

/** A file's room: two folders, except at the top. */
export const roomOf = (file: string): string => file.split('/').slice(0, -1).slice(0, 2).join('/') || '.'

const grouped = <T>(items: ReadonlyArray<T>, keyOf: (item: T) => string): ReadonlyArray<readonly [string, ReadonlyArray<T>]> =>
  [...new Set(items.map(keyOf))].sort().map((key) => [key, items.filter((item) => keyOf(item) === key)] as const)

const main = (args: ReadonlyArray<string>): void => {
  const folders = args.filter((arg) => !arg.startsWith('-'))
  const violations = allViolations().filter(({ file }) => folders.length === 0 || folders.some((room) => file.startsWith(room)))
  const byRoom = grouped(violations, ({ file }) => roomOf(file))
  for (const [room, inRoom] of byRoom) {
    const kinds = grouped(inRoom, ({ kind }) => kind)
    console.log(`${room}: ${inRoom.length} (${kinds.map(([kind, some]) => `${kind} ${some.length}`).join(', ')})`)
    for (const { file, line, rule, excerpt } of inRoom) console.log(`  ${file}:${line} ${rule}\n    ${excerpt}`)
  }
  console.log(violations.length === 0 ? 'style: no violations' : `style: ${violations.length} violations in ${byRoom.length} folders`)
  process.exitCode = violations.length === 0 ? 0 : 1
}

if (process.argv[1]?.endsWith('style.js')) main(process.argv.slice(2))
