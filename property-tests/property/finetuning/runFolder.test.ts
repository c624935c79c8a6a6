/** The folder of a run: partial files of a killed process are removed, foreign files stay, and changed versions are reported. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { lineInFlags } from '../../../finetuning/commandLine/optionNames.js'
import { dirname, join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { loadTask } from '../../../finetuning/tasks/index.js'
import { finetuneJob } from '../../../finetuning/nodeMachine.js'
import type { RunOptions } from '../../../finetuning/run/run.js'
import { parseRunConfig } from '../../../finetuning/run/runFiles.js'
import { inNewFolder } from '../../../finetuning/use/newFolder.js'
import { examineFolder, openRunFolder } from '../../../finetuning/run/nodeFolder.js'
import type { RunFolder, RunSources } from '../../../finetuning/run/runFolder.js'
import { encodeRunRows } from '../../../finetuning/run/runRows.js'
import { versions } from '../../../finetuning/run/versions.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { toyFile } from '../../cli/toyTask.js'
import { treeOf } from '../../hostile/survival.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder: root } = temporaryFolder('folder')
let output = ''
beforeAll(async () => {
  await writeTinyModel(join(root, 'tiny'))
  await writeFile(join(root, 'toy.tsv'), toyFile(40))
})
beforeEach(async () => {
  output = await mkdtemp(join(root, 'run-'))
})

const options = (resume: boolean): RunOptions => ({
  model: join(root, 'tiny'),
  task: { task: join(root, 'toy.tsv') },
  output,
  resume,
  settings: resolveSettings({ method: 'salora', maxSteps: 2, gateStart: 0, maxLength: 16, device: 'cpu' }),
})
const sources = async (): Promise<RunSources> => {
  const data = await loadTask({ task: join(root, 'toy.tsv') })
  return { device: 'cpu', revision: null, rows: encodeRunRows(data), steps: 2, inputs: { 'training rows': '36 of toys' } }
}
/** The run's folder as a process finds it, who leaves it again. */
const opened = async (resume: boolean): Promise<RunFolder> => {
  const folder = await openRunFolder(options(resume), await sources(), await examineFolder(options(resume)))
  await folder.release()
  return folder
}
const begun = async (resume: boolean) => (await opened(resume)).begin(0)
const tree = async (): Promise<readonly string[]> => (await readdir(output, { recursive: true })).sort()
const contents = async (): Promise<Readonly<Record<string, string>>> => {
  const files = (await readdir(output, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  return Object.fromEntries(
    await Promise.all(
      files.map(
        async ({ parentPath, name }) =>
          [join(parentPath, name).slice(output.length + 1), await readFile(join(parentPath, name), 'latin1')] as const,
      ),
    ),
  )
}

/** config.json as an earlier process wrote it, changed. */
const rewriteConfig = async (change: (config: Readonly<Record<string, unknown>>) => object): Promise<void> => {
  const file = join(output, 'config.json')
  await writeFile(file, JSON.stringify(change(JSON.parse(await readFile(file, 'utf8')) as Readonly<Record<string, unknown>>)))
}

describe('a partial file of a killed process', () => {
  const temporaries = [
    '.config.json.4711.0123456789ab.partial',
    'adapter/.adapter_config.json.1.fedcba987654.partial',
    'checkpoints/.step-000000004.safetensors.99999.00000000000f.partial',
  ]
  const others = ['.hidden', '.notes.partial', 'draft.4711.0123456789ab.partial', 'checkpoints/.keep']
  const leave = async (): Promise<void> => {
    await begun(false)
    for (const name of [...temporaries, ...others]) await writeFile(join(output, name), '')
  }

  it('is removed when the run is resumed, in each of its folders, and nothing else is', async () => {
    await leave()
    const before = await tree()
    await begun(true)
    expect(await tree()).toEqual(before.filter((name) => !temporaries.includes(name)))
  })

  it('stays if the run is not resumed: another process may be at work', async () => {
    await leave()
    const before = await tree()
    await expect(opened(false)).rejects.toThrow('got config.json of an earlier run')
    await rewriteConfig((config) => ({ ...config, device: 'cuda' }))
    await expect(opened(true)).rejects.toThrow(/^device: expected cuda, on which the run in .+ began .+, got cpu$/)
    expect(await tree()).toEqual(before)
  })
})

it.each([
  [{ index: 2, of: 2 }, 'task.fold is an index below the number of parts'],
  [{ index: -1, of: 2 }, 'task.fold.index is a whole number of at least 0'],
  [{ index: 0, of: 2, more: 1 }, 'task.fold has no key more'],
])('a config.json with the fold %j is refused', (fold, message) =>
  expect(() => parseRunConfig(JSON.stringify({ formatVersion: 2, model: 'm', task: { task: 't.tsv', fold }, settings: {} }), 'c')).toThrow(
    message,
  ),
)

describe('a resumed run folder', () => {
  const warnings = async (resume: boolean): Promise<readonly string[]> => {
    const messages: string[] = []
    for await (const event of finetuneJob(options(resume), new AbortController().signal))
      if (event.kind === 'warning') messages.push(event.message)
    return messages.filter((message) => !/^(step |gates are sampled in )/.test(message))
  }

  it('warns once about each changed version, and config.json then names the current ones', async () => {
    expect(await warnings(false)).toEqual([])
    const { salora: _, ...rest } = versions
    await rewriteConfig((config) => ({ ...config, versions: { ...rest, node: 'v1.2.3' } }))
    const bits = "the run's bits may differ from here on"
    expect(await warnings(true)).toEqual([
      `${output}: node was "v1.2.3" and is "${versions['node']}"; salora was nothing and is "${versions['salora']}"; ${bits}`,
    ])
    expect(await warnings(true)).toEqual([])
  })

  it('has no result until the run ends again', async () => {
    await begun(false)
    await writeFile(join(output, 'result.json'), '{}')
    await begun(true)
    expect(await tree()).toEqual(['adapter', 'checkpoints', 'config.json', 'metrics.jsonl', 'rows.json'])
  })

  it('stays unchanged, result included, if the task has a new class', async () => {
    await warnings(false)
    const before = await contents()
    expect(Object.keys(before)).toContain('result.json')
    await writeFile(join(root, 'toy.tsv'), `${toyFile(40)}\nneither here nor there\tneither\na plain film\tneither\n`)
    await expect(warnings(true)).rejects.toThrow(
      /config\.json: expected the model and the data that the run began with .*, got .*; classes was "bad, good" and is "bad, good, neither"$/,
    )
    await writeFile(join(root, 'toy.tsv'), toyFile(40))
    expect(await contents()).toEqual(before)
    expect(await warnings(true)).toEqual([])
  })
})

describe('a folder with foreign files', () => {
  const fill = async (name: string): Promise<void> => {
    await mkdir(dirname(join(output, name)), { recursive: true })
    await writeFile(join(output, name), 'precious')
  }
  const refusal = async (resume: boolean): Promise<string> => {
    const before = await treeOf(root)
    const line = await opened(resume).then(
      () => 'it was opened',
      (thrown: unknown) => lineInFlags(thrown),
    )
    expect(await treeOf(root)).toEqual(before)
    return line
  }

  it.each([
    ['metrics.jsonl', 'metrics.jsonl'],
    ['result.json', 'result.json'],
    ['rows.json', 'rows.json'],
    ['adapter_model.safetensors', 'adapter_model.safetensors'],
    ['adapter/adapter_model.safetensors', 'an adapter'],
    ['checkpoints/step-000000004.safetensors', 'checkpoints'],
    ['checkpoints/step-000000004.safetensors.damaged', 'checkpoints'],
  ])('is left unchanged if it has %s and no config.json', async (name, content) => {
    await fill(name)
    for (const resume of [false, true])
      expect(await refusal(resume)).toBe(
        `--output ${output}: expected a new folder, or a run with its config.json, got ${content} without one`,
      )
  })

  it.each(['adapter', 'checkpoints'])('is neither written to nor deleted from if %s in it is a link, new or resumed', async (name) => {
    const elsewhere = await mkdtemp(join(root, 'elsewhere-'))
    for (const file of ['adapter_config.json', '.config.json.4711.0123456789ab.partial']) await writeFile(join(elsewhere, file), 'precious')
    await symlink(elsewhere, join(output, name))
    expect(await refusal(false)).toBe(`${join(output, name)}: expected a folder of the run itself, got a link`)
    await rm(join(output, name))
    await begun(false)
    await rm(join(output, name), { recursive: true })
    await symlink(elsewhere, join(output, name))
    expect(await refusal(true)).toBe(`${join(output, name)}: expected a folder of the run itself, got a link`)
  })

  it('is accepted if it is empty or has only what a killed start left', async () => {
    await fill('adapter/.adapter_config.json.1.fedcba987654.partial')
    await fill('.config.json.4711.0123456789ab.partial')
    await mkdir(join(output, 'checkpoints'))
    await begun(false)
    expect(await tree()).toEqual(['adapter', 'checkpoints', 'config.json', 'metrics.jsonl', 'rows.json'])
  })

  it.runIf(process.platform === 'linux')('is refused at once if the system cannot create it', async () => {
    const place = '/proc/no-such-process/deeper'
    const there = { ...options(false), output: place }
    await expect(openRunFolder(there, await sources(), await examineFolder(there))).rejects.toThrow(
      /^output \/proc\/no-such-process\/deeper: expected a folder that can be written, got ENOENT: /,
    )
    await expect(inNewFolder(place, {}, async () => undefined)).rejects.toThrow(/: expected a folder that can be written, got ENOENT: /)
  })
})

it('is refused if it has checkpoints without config.json', async () => {
  await mkdir(join(output, 'checkpoints'))
  await writeFile(join(output, 'checkpoints', 'step-000000004.safetensors'), '')
  for (const resume of [false, true])
    await expect(opened(resume)).rejects.toThrow(
      `output ${output}: expected a new folder, or a run with its config.json, got checkpoints without one`,
    )
})
