/** README's lists of methods, tasks and devices are those of their own files. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { formatOf } from '../../accelerated/formats/index.js'
import { methods } from '../../accelerated/methods/index.js'
import type { Method } from '../../accelerated/methods/method.js'
import { architectures } from '../../accelerated/models/index.js'
import { devices } from '../../accelerated/engines/devices/index.js'
import { taskNames } from '../../finetuning/tasks/index.js'

const readme = readFileSync('README.md', 'utf8')
const table: ReadonlyArray<Method> = methods

describe('README', () => {
  it('has the table of methods that their files make', () => {
    const [, rows = ''] = /\| --- \| --- \| --- \|\n((?:\| `\w+` \|.*\n)+)/.exec(readme.slice(readme.indexOf('| `--method` |'))) ?? []
    expect(rows.trim().split('\n')).toEqual(table.map((method) => `| \`${method.name}\` | ${method.summary} | ${formatOf(method).title} |`))
  })

  it('names every device', () => devices.forEach(({ name }) => expect(readme).toContain(`\`--device ${name}\``)))

  it('names every task', () => taskNames.forEach((name) => expect(readme).toMatch(new RegExp(`[\`' ]${name}[\`' ]`))))

  it('names every family of models', () =>
    architectures.flatMap(({ modelTypes }) => modelTypes).forEach((name) => expect(readme.toLowerCase()).toContain(name)))
})
