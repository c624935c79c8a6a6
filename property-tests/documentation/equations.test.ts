/** The table of equations in docs/explanation/paper.md: each function exists in the file that it links to, under its equation's number. */
import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'

const page = 'docs/explanation/paper.md'
const fileOf = (link: string): string => posix.join(posix.dirname(page), link)
const cell = '\\[`(\\w+)`\\]\\(([^)]+)\\)'
const rows = [
  ...readFileSync(page, 'utf8').matchAll(new RegExp(`^\\| (\\(\\d+\\)|Algorithm 1)[^|]*\\| ${cell} \\| ${cell} \\|`, 'gm')),
].flatMap(([, equation = '', a = '', linkA = '', b = '', linkB = '']) => [
  { equation, name: a, file: fileOf(linkA) },
  { equation, name: b, file: fileOf(linkB) },
])

/** The comment directly above `export const name` (or a function of that name). */
const commentOf = (file: string, name: string): string | undefined =>
  new RegExp(`/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\s*export (?:const|(?:async )?function\\*?) ${name}\\b`).exec(
    readFileSync(file, 'utf8'),
  )?.[1]

describe('the table of equations', () => {
  it('has both derivations of equations 5 and 7 to 12, and of Algorithm 1', () => {
    expect(rows.map(({ equation }) => equation)).toEqual(
      ['(5)', '(7)', '(8)', '(9)', '(10)', '(11)', '(12)', 'Algorithm 1'].flatMap((x) => [x, x]),
    )
    expect(rows.map(({ file }) => file.split('/')[0])).toEqual(rows.map((_, i) => (i % 2 === 0 ? 'reference' : 'accelerated')))
  })

  it.each(rows)('links $equation to $name, whose comment in $file has its number', ({ equation, name, file }) => {
    const comment = commentOf(file, name)
    expect(comment, `a documented export ${name} in ${file}`).toBeDefined()
    const text = `${comment}${readFileSync(file, 'utf8').split('*/')[0]}`
    expect(text).toContain(equation)
  })
})
