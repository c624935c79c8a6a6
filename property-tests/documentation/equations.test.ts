/** README's table from the paper to the line: each identifier exists where it says, under its equation's number. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const readme = readFileSync('README.md', 'utf8')
const rows = [...readme.matchAll(/^\| (\(\d+\)|Algorithm 1)[^|]*\| `(\w+)` in (\S+) \| `(\w+)` in (\S+) \|$/gm)].flatMap(
  ([, equation = '', a = '', fileA = '', b = '', fileB = '']) => [
    { equation, name: a, file: fileA },
    { equation, name: b, file: fileB },
  ],
)

/** The comment that stands directly above `export const name` (or a function of that name). */
const commentOf = (file: string, name: string): string | undefined =>
  new RegExp(`/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\s*export (?:const|(?:async )?function\\*?) ${name}\\b`).exec(
    readFileSync(file, 'utf8'),
  )?.[1]

describe('the table of equations', () => {
  it('names both derivations of equations 5, 7, 8, 9, 11, 12 and of Algorithm 1', () => {
    expect(rows.map(({ equation }) => equation)).toEqual(['(5)', '(7)', '(8)', '(9)', '(11)', '(12)', 'Algorithm 1'].flatMap((x) => [x, x]))
    expect(rows.filter(({ file }) => file.startsWith('reference/')).length).toBe(7)
  })

  it.each(rows)('finds $equation at $name in $file', ({ equation, name, file }) => {
    const comment = commentOf(file, name)
    expect(comment, `a documented export ${name} in ${file}`).toBeDefined()
    const whole = `${comment}${readFileSync(file, 'utf8').split('*/')[0]}`
    expect(whole).toContain(equation)
  })
})
