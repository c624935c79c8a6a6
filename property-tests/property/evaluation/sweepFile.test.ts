/** A sweep's runs in one file, and its folder from that file: as `salora glue` would have made it there. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const program = resolve('dist/evaluation/studies/sweepFile.js')

it.each([
  ['folders, by their whole paths', ['model', 'GLUE'], (cwd: string) => [join(cwd, 'model'), join(cwd, 'GLUE')]],
  ['names of the hub, as they are', ['owner/model', 'nyu-mll/glue'], () => ['owner/model', 'nyu-mll/glue']],
] as const)('unpacks runs of %s', async (_, [model, data], expected) => {
  const cwd = await realpath(await mkdtemp(join(tmpdir(), 'salora-sweep-file-')))
  try {
    for (const name of ['model', 'GLUE']) await mkdir(join(cwd, name))
    const cell = 'cola.salora.seed-0'
    await writeFile(join(cwd, 'runs.json'), JSON.stringify({ runs: [{ cell, config: { task: { task: 'cola' } }, result: {} }] }))
    await promisify(execFile)(process.execPath, [program, 'unpack', 'runs.json', 'sweep', '--model', model, '--data', data], { cwd })
    const config = JSON.parse(await readFile(join(cwd, 'sweep', 'cells', cell, 'config.json'), 'utf8')) as {
      readonly model: string
      readonly task: { readonly data: string }
    }
    expect([config.model, config.task.data]).toEqual(expected(cwd))
  } finally {
    await rm(cwd, { recursive: true })
  }
})
