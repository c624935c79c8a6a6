/** Which folders are runs, sweeps and style transfers, and in which order they are found. */
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { openDiscovery } from '../../../reporting/runs/discover.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder } = temporaryFolder('discovery')
const put = async (file: string): Promise<void> => {
  await mkdir(dirname(join(folder, file)), { recursive: true })
  await writeFile(join(folder, file), '{}')
}
const foundIn = async (root: string, options = {}): Promise<readonly string[]> => {
  const { folders, truncated } = await openDiscovery(join(folder, root), options)()
  return [
    ...folders.map(({ kind, path, sweep }) => `${kind} ${path}${sweep === null ? '' : ` of ${sweep.slice(folder.length + 1)}`}`),
    ...(truncated ? ['truncated'] : []),
  ]
}

it('runs are found in the order of their numbers, up to four levels down, without hidden folders, links, packages and exported models', async () => {
  for (const run of ['run-10', 'run-2', 'run-1', '.hidden', 'a/b', 'a/c/d/deep', 'a/c/d/e/deeper', 'node_modules/package'])
    await put(`runs/${run}/config.json`)
  for (const file of ['merged/model.safetensors', 'js/tokenizer.json', 'js/onnx/model.onnx']) {
    await put(`runs/exported/${file}`)
    await put(`runs/exported/${file.split('/')[0]}/config.json`)
  }
  await put('runs/ended/result.json')
  await put('runs/starting/lock-0123456789ab.json')
  await mkdir(join(folder, 'runs/starting/checkpoints'))
  await put('runs/none/notes.json')
  await symlink('run-1', join(folder, 'runs/link'))
  expect(await foundIn('runs')).toEqual(['run a/b', 'run a/c/d/deep', 'run ended', 'run run-1', 'run run-2', 'run run-10', 'run starting'])
  expect(await foundIn('runs/run-1')).toEqual(['run '])
})

it('a sweep is found before its table is written, and its cells are its runs, in the order of their numbers', async () => {
  for (const cell of ['lora-10', 'lora-9']) await put(`sweeps/stopped/cells/${cell}/config.json`)
  await put('sweeps/done/sweep.json')
  for (const file of ['table.md', 'result.json']) await put(`sweeps/moved/${file}`)
  expect(await foundIn('sweeps')).toEqual([
    'sweep done',
    'style transfer moved',
    'sweep stopped',
    'run stopped/cells/lora-9 of sweeps/stopped',
    'run stopped/cells/lora-10 of sweeps/stopped',
  ])
})

it('no more runs are found than asked for, which is said', async () => {
  for (const run of ['one', 'two', 'three']) await put(`many/${run}/config.json`)
  expect(await foundIn('many', { maxRuns: 2 })).toEqual(['run one', 'run three', 'truncated'])
  expect(await foundIn('many', { maxRuns: 3 })).toEqual(['run one', 'run three', 'run two'])
})
