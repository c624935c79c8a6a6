/** README and docs/reference list the methods, models, tasks and devices that exist. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { findFormat } from '../../accelerated/formats/index.js'
import { methods } from '../../accelerated/methods/index.js'
import type { Method } from '../../accelerated/methods/method.js'
import { architectures } from '../../accelerated/models/index.js'
import { devices } from '../../accelerated/engines/devices/index.js'
import { taskNames } from '../../finetuning/tasks/index.js'

const page = readFileSync('docs/reference/models-and-methods.md', 'utf8')
const readme = readFileSync('README.md', 'utf8')
const table: readonly Method[] = methods

describe('the lists of the documentation', () => {
  it.each([
    ['README.md', readme],
    ['docs/reference/models-and-methods.md', page],
  ])('the lists in %s have every method with what it trains and its adapter format', (_, text) => {
    const [, rows = ''] = /\| --- \| --- \| --- \|\n((?:\| `\w+` \|.*\n)+)/.exec(text.slice(text.indexOf('| `--method` |'))) ?? []
    expect(rows.trim().split('\n')).toEqual(
      table.map((method) => `| \`${method.name}\` | ${method.summary} | ${findFormat(method).title} |`),
    )
  })

  it('have every device', () => devices.forEach(({ name }) => expect(page).toContain(`\`--device ${name}\``)))

  it('have every task', () => taskNames.forEach((name) => expect(page).toContain(`\`${name}\``)))

  it('have every family of models', () => {
    for (const name of architectures.flatMap(({ modelTypes }) => modelTypes)) {
      expect(page).toContain(`\`${name}\``)
      expect(readme.toLowerCase()).toContain(name)
    }
  })
})
