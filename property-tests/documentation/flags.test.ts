/** Every command and option that the documentation names exists. */
import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { saloraHere } from '../cli/inProcess.js'
import { codeBlocksOf, pagesBelow } from './pages.js'

const pages = pagesBelow('.').filter((page) => /^(README|CONTRIBUTING)\.md$|^docs\//.test(page))
const flagsIn = (text: string): ReadonlyArray<string> => [...text.matchAll(/(?<![\w-])--([a-z][a-z0-9-]+)/g)].map(([flag]) => flag)

type Shell = { readonly place: string; readonly command: string; readonly flags: ReadonlyArray<string> }
/** Commands of salora in shell blocks: line continuations joined, pipes divided, comments and quoted texts left out. */
const commandLines = (page: string, markdown: string): ReadonlyArray<Shell> =>
  codeBlocksOf(page, markdown)
    .filter(({ language }) => language === 'sh')
    .flatMap(({ line, code }) =>
      code
        .replaceAll('\\\n', ' ')
        .split('\n')
        .flatMap((text) =>
          text
            .replace(/\s#.*$/, '')
            .replace(/'[^']*'/g, "''")
            .split(/\||&&/),
        )
        .flatMap((text) => {
          const [, words = ''] = /(?:^|\s)(?:npx )?salora (.*)$/.exec(text.trim()) ?? []
          const [first = '', second = ''] = words.split(/\s+/)
          return words === ''
            ? []
            : [{ place: `${page}:${line}`, command: first === 'ngram' ? `${first} ${second}` : first, flags: flagsIn(words) }]
        }),
    )
const lines = pages.flatMap((page) => commandLines(page, readFileSync(page, 'utf8')))

const helps = new Map<string, string>()
beforeAll(async () => {
  for (const command of new Set(lines.map((line) => line.command))) {
    const shown: string[] = []
    for (const help of ['--help', '--help-all']) shown.push((await saloraHere(...command.split(' '), help)).stdout)
    helps.set(command, shown.join('\n'))
  }
})

describe('the documentation', () => {
  it('has commands of salora in its shell blocks', () => expect(lines.length).toBeGreaterThan(30))

  it('runs only commands that exist, with options that they have', () => {
    const wrong = lines.flatMap(({ place, command, flags }) => {
      const help = helps.get(command) ?? ''
      if (!/^Usage: /m.test(help)) return [`${place}: salora ${command}`]
      return flags.filter((flag) => !flagsIn(help).includes(flag)).map((flag) => `${place}: salora ${command} ${flag}`)
    })
    expect(wrong).toEqual([])
  })

  it('names only options of some command in its sentences', () => {
    const known = new Set([...helps.values()].flatMap(flagsIn))
    const ofOthers = ['--help-all', '--logdir']
    const wrong = pages.flatMap((page) =>
      [
        ...readFileSync(page, 'utf8')
          .replace(/^ *```[\s\S]*?^ *```/gm, '')
          .matchAll(/`([^`\n]+)`/g),
      ]
        .flatMap(([, code = '']) => (/^(npx vitest|npm|node|git|ulimit|ssh) /.test(code) ? [] : flagsIn(code)))
        .filter((flag) => !known.has(flag) && !ofOthers.includes(flag))
        .map((flag) => `${page}: ${flag}`),
    )
    expect(wrong).toEqual([])
  })
})
